// A result is a function of its experiment, not of the compiler: g++ and clang++ builds fill equal stores.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/result_store.h"
#include "tests/cli/command.h"
#include "tests/sim/digits_study.h"

namespace halfulp {
namespace {

constexpr const char* kOtherCompiler = std::string_view(HALFULP_CXX_COMPILER_ID) == "GNU" ? "clang++" : "g++";

/// Builds the command with the other compiler below this build's folder, where the next time finds it up to date.
std::string build_elsewhere() {
  const std::string folder = HALFULP_BUILD_DIR "/other_compiler";
  const CommandResult result = shell(fmt::format(
      "cmake -S '{}' -B '{}' -G Ninja -DCMAKE_CXX_COMPILER={} -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS='{}' "
      "-DHALFULP_TESTS=OFF -DHALFULP_BENCH=OFF && cmake --build '{}' --target halfulp",
      HALFULP_SOURCE_DIR, folder, kOtherCompiler, HALFULP_CXX_FLAGS, folder));
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  return folder + "/halfulp";
}

TEST(OtherCompiler, gives_an_equal_store) {
  HALFULP_NEEDS_DATA("digits");
  HALFULP_NEEDS_DATA("kjv");
  if (shell(fmt::format("command -v {} ninja", kOtherCompiler)).exit_code != 0)
    GTEST_SKIP() << "needs " << kOtherCompiler << " and ninja";
  const std::string other = build_elsewhere();
  ASSERT_FALSE(HasFailure());

  const ScratchFolder folder;
  const std::string study = folder.file("study.toml");
  write_file(study,
             "seeds = [1, 2]\n"
             "[base]\n"
             "evaluations = 2\n"
             "optimizer.warmup = 2\n"
             "model.layers = 1\n"
             "[axes]\n"
             "recipe = ['bf16', 'nvfp4-nvidia', 'tetrajet']\n"
             "[[zip]]\n"
             "task = ['digits', 'char_lm']\n"
             "steps = [60, 12]\n"
             "batch = [32, 4]\n"
             "model.width = [40, 32]\n"
             "model.activation = ['gelu', 'gelu_tanh']\n");
  std::vector<std::string> dumps;
  for (const std::string& program : {std::string(HALFULP_COMMAND), other}) {
    const std::string store = folder.file(fmt::format("{}.db", dumps.size()));
    const CommandResult result = run_program(program, {"sweep", study, "--store", store, "--jobs", "2"});
    ASSERT_EQ(result.exit_code, 0) << program << "\n" << result.err;
    ASSERT_EQ(ResultStore(store).all().size(), 12u);
    dumps.push_back(ResultStore(store).canonical_dump());
  }
  EXPECT_EQ(dumps[0], dumps[1]);
}

}  // namespace
}  // namespace halfulp
