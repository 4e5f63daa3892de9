// The same arithmetic on a GPU, where there is one; elsewhere these tests say what is missing.
//
// The programs are those of this build, or of the folder that HALFULP_CUDA_PROGRAMS names, such as build/cuda.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/command.h"

namespace halfulp::cuda {
namespace {

std::string program(const char* of_this_build) {
  const char* const folder = std::getenv("HALFULP_CUDA_PROGRAMS");
  const std::filesystem::path path = of_this_build;
  return folder == nullptr ? path.string() : (folder / path.filename()).string();
}

/// Skips with the program's own reason where there is no device.
void expect_equal_on_the_device(const char* of_this_build, const std::vector<std::string>& arguments) {
  const CommandResult result = run_program(program(of_this_build), arguments);
  for (const char* reason : {"built without CUDA", "no usable device"})
    if (result.err.find(reason) != std::string::npos) GTEST_SKIP() << result.err;
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

TEST(Device, casts_of_all_floats_and_blocks_equal_those_of_the_library) {
  expect_equal_on_the_device(HALFULP_CAST_PROBE, {});
}

TEST(Device, matrix_instructions_equal_their_units) {
  const ScratchFolder scratch;
  expect_equal_on_the_device(HALFULP_MMA_CAPTURE, {"--live", "100000", "--out", scratch.file("captures")});
}

}  // namespace
}  // namespace halfulp::cuda
