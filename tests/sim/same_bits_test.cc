// The same bits on every instruction set, in every process, on every thread. The instruction set is chosen once per
// process, so this program starts itself: `same_bits_test --print-bits` prints what is to be the same.
#include <gtest/gtest.h>
#include <unistd.h>  // getpid

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "formats/isa.h"
#include "sim/numerics.h"
#include "sim/trainer.h"
#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

// The version of the arithmetic. This is its only copy.
constexpr std::string_view kNumericsVersion = "b2282dba2a03131b";

constexpr int kFeatures = 37, kOutputs = 11;

/// Losses and weights after a few steps on made-up data; odd sizes leave every kernel a remainder.
std::string trained(const char* task, const char* recipe, const char* activation) {
  const Experiment e = make_experiment(std::vector<Setting>{{"task", task},
                                                            {"recipe", recipe},
                                                            {"model.activation", activation},
                                                            {"model.width", "42"},
                                                            {"model.heads", "3"},
                                                            {"model.context", "23"},
                                                            {"optimizer.warmup", "2"},
                                                            {"steps", "5"},
                                                            {"evaluations", "1"}});
  const Target target = find_task(task).target;
  Trainer trainer(e, target, target == Target::NextToken ? kOutputs : kFeatures, kOutputs);
  std::string text = std::string(task) + " " + recipe;
  for (int step = 0; step < e.steps; ++step) {
    Batch batch{.rows = 46};
    batch.inputs = reference::random_numbers(size_t(batch.rows * kFeatures), 2.0f, 200 + uint32_t(step));
    for (int r = 0; r < batch.rows; ++r) {
      batch.labels.push_back((r * r + step) % kOutputs);
      batch.tokens.push_back((r * r * r + step) % kOutputs);
    }
    bool finite = false;
    char loss[32];
    std::snprintf(loss, sizeof loss, " %a", trainer.step(batch, step, step == 2, finite).mean);
    text += loss;
  }
  return text + " " + trainer.weights_digest() + "\n";
}

/// Every recipe on a table, some on text.
std::string all_bits() {
  std::string text = "numerics " + numerics_version() + "\n";
  for (const RecipeRow& row : recipes()) text += trained("digits", std::string(row.name).c_str(), "gelu");
  for (const char* recipe : {"fp32", "nvfp4-nvidia", "mxfp4-nvidia", "tetrajet"})
    text += trained("char_lm", recipe, "gelu_tanh");
  return text;
}

/// What another process prints under an instruction set.
std::string bits_of_another_process(const char* isa) {
  const std::string command =
      std::string("HALFULP_ISA=") + isa + " /proc/" + std::to_string(getpid()) + "/exe --print-bits 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::string text;
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) text += buffer;
  return pclose(pipe) == 0 ? text : "failed: " + text;
}

TEST(SameBits, on_every_instruction_set_in_a_process_of_its_own) {
  const std::string here = all_bits();
  EXPECT_EQ(here, all_bits()) << "twice in one process";
  for (Isa isa : {Isa::Portable, Isa::Avx2, Isa::Avx512}) {
    if (isa > active_isa()) continue;  // more than this machine has
    EXPECT_EQ(bits_of_another_process(name(isa)), here) << name(isa);
  }
}

TEST(SameBits, on_two_threads_at_once) {
  const std::string alone = all_bits();
  std::string together[2];
  {
    std::vector<std::jthread> threads;
    for (std::string& text : together) threads.emplace_back([&text] { text = all_bits(); });
  }
  EXPECT_EQ(together[0], alone);
  EXPECT_EQ(together[1], alone);
}

TEST(NumericsVersion, is_the_one_that_results_are_kept_under) {
  EXPECT_EQ(numerics_version(), kNumericsVersion)
      << "The arithmetic changed: some cast, block quantiser, elementary function, matrix product or training step "
         "gives "
         "another bit. If that is meant, put the new version here; every experiment then has a new key, and results "
         "stored under the old version will not be mixed with new ones. If it is not, this is the bug.";
}

TEST(NumericsVersion, is_sixteen_hexadecimal_digits) {
  EXPECT_EQ(numerics_version().size(), 16u);
  EXPECT_EQ(numerics_version().find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--print-bits") {
    std::fputs(halfulp::all_bits().c_str(), stdout);
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
