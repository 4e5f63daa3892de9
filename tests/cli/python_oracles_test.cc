// ml_dtypes and gfloat as further oracles, through tests/cli/python_oracles.py.
#include <filesystem>

#include "tests/cli/command.h"

namespace halfulp {
namespace {

/// Runs one part of the script with the Python that `make setup` prepares.
void expect_alike(const std::string& part) {
  const std::string source = HALFULP_SOURCE_DIR, environment = source + "/build/venv";
  if (!std::filesystem::exists(environment + "/requirements.txt"))
    GTEST_SKIP() << environment << " is missing or incomplete: `make setup` makes it, from PyPI";
  if (read_file(environment + "/requirements.txt") != read_file(source + "/tests/requirements.txt"))
    GTEST_SKIP() << environment << " is not that of tests/requirements.txt: `make setup` renews it, from PyPI";
  const CommandResult result =
      run_program(environment + "/bin/python3", {source + "/tests/cli/python_oracles.py", HALFULP_COMMAND, part});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  std::fputs(result.out.c_str(), stdout);
}

TEST(PythonOracles, ml_dtypes_decodes_every_code_alike) { expect_alike("ml_dtypes_decode"); }
TEST(PythonOracles, ml_dtypes_casts_as_its_profile) { expect_alike("ml_dtypes_profile"); }
TEST(PythonOracles, ml_dtypes_casts_doubles_as_its_profile) { expect_alike("ml_dtypes_doubles"); }
TEST(PythonOracles, ml_dtypes_differs_from_the_definition_as_known) { expect_alike("ml_dtypes_explained"); }
TEST(PythonOracles, gfloat_decodes_every_code_alike) { expect_alike("gfloat_decode"); }
TEST(PythonOracles, gfloat_casts_as_its_profiles) { expect_alike("gfloat_profile"); }
TEST(PythonOracles, gfloat_rounds_stochastically_alike) { expect_alike("gfloat_stochastic"); }

}  // namespace
}  // namespace halfulp
