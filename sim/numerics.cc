#include "sim/numerics.h"

#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "formats/block.h"
#include "formats/cast.h"
#include "formats/digest.h"
#include "formats/philox.h"
#include "sim/elementary.h"
#include "sim/trainer.h"

namespace halfulp {
namespace {

// Collects bytes to digest.
class Collector {
 public:
  template <class T>
  void add(std::span<const T> values) {
    const size_t size = bytes_.size();
    bytes_.resize(size + values.size_bytes());
    std::memcpy(bytes_.data() + size, values.data(), values.size_bytes());
  }
  void add(float value) { add(std::span<const float>(&value, 1)); }
  std::string digest() const { return sha256_hex(bytes_).substr(0, 16); }

 private:
  std::vector<uint8_t> bytes_;
};

constexpr RandomSite kInputs{.seed = 0x68616c66756c70, .stream = Stream::Data};

// Finite numbers of both signs, exponents spread over +-`spread` binades.
std::vector<float> inputs(size_t count, uint32_t spread) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = random_word(kInputs, uint32_t(i));
    const uint32_t field = 127 - spread + (word >> 23 & 0xff) % (2 * spread + 1);
    x[i] = std::bit_cast<float>((word & 0x807fffff) | field << 23);
  }
  return x;
}

void add_casts(Collector& all) {
  const std::vector<float> x = inputs(96, 20);
  std::vector<uint32_t> codes(x.size());
  for (const Format& format : formats())
    for (const auto& rounding : EnumNames<Rounding>::values)
      for (const auto& overflow : EnumNames<Overflow>::values) {
        const Projection projection{
            .rounding = rounding.value, .random_bits = 8, .policies = {.overflow = overflow.value}};
        Caster(format, projection).encode<uint32_t>(x, codes, kInputs);
        all.add(std::span<const uint32_t>(codes));
      }
}

void add_blocks(Collector& all) {
  constexpr int kRows = 5, kCols = 75;
  const std::vector<float> x = inputs(size_t{kRows} * kCols, 6);
  std::vector<float> y(x.size());
  for (const BlockRow& row : block_formats())
    for (ScaleRule rule : scale_rules(row))
      for (Rounding rounding : {Rounding::TiesToEven, Rounding::StochasticC}) {
        const BlockQuantizer quantizer(make_block_format(row.name, rule), rounding, 8);
        all.add(quantizer.quantize(x, y, kRows, kCols, kInputs));
        all.add(std::span<const float>(y));
      }
}

void add_elementary(Collector& all) {
  const std::vector<float> x = inputs(512, 8);
  std::vector<float> y(x.size());
  for (auto* function : {exp_array, tanh_array, erf_array}) {
    function(x, y);
    all.add(std::span<const float>(y));
  }
  for (size_t i = 0; i < x.size(); ++i) y[i] = std::abs(x[i]);
  log_array(y, y);
  all.add(std::span<const float>(y));
}

// Two steps of a small model on made-up data.
void add_training(Collector& all, std::span<const Setting> settings, Target target) {
  constexpr int kFeatures = 9, kOutputs = 5;
  const Experiment experiment = make_experiment(settings);
  const int outputs = target == Target::Number ? 1 : kOutputs;
  Trainer trainer(experiment, target, target == Target::NextToken ? kOutputs : kFeatures, outputs);
  Batch batch;
  batch.rows = experiment.batch * std::max(1, experiment.model.context);
  const std::vector<float> numbers = inputs(size_t(batch.rows) * kFeatures, 3);
  if (target != Target::NextToken) batch.inputs = numbers;
  for (int r = 0; r < batch.rows; ++r) {
    if (target == Target::Number) batch.targets.push_back(numbers[size_t(r)]);
    batch.labels.push_back(r * r % kOutputs);
    batch.tokens.push_back(r * 3 % kOutputs);
  }
  for (int step = 0; step < experiment.steps; ++step) {
    bool finite = true;
    all.add(float(trainer.step(batch, step, false, finite).mean));
  }
  for (const Parameter* parameter : trainer.model().parameters) all.add(std::span<const float>(parameter->value));
}

// Small models of each kind, and recipes that reach every stage of an operand's pipeline.
struct Trained {
  std::string_view settings;
  Target target;
};
constexpr Trained kTrained[] = {
    {"task = regression\nmodel.layers = 2\nmodel.activation = gelu\nbatch = 20\n", Target::Number},
    {"task = vision\nmodel.layers = 2\nmodel.activation = relu\nbatch = 20\noptimizer.kind = sgd\n", Target::Class},
    {"task = char_lm\nmodel.layers = 1\nmodel.activation = gelu_tanh\nmodel.heads = 2\nmodel.context = 10\nbatch = 2\n",
     Target::NextToken},
};
constexpr std::string_view kRecipeSettings[] = {
    "recipe = bf16\n",
    "recipe = nvfp4-nvidia\n",
    "recipe = tetrajet\n",
    "recipe = nvfp4-naive\nrecipe.dgrad.w.source = forward\nrecipe.wgrad.x.source = forward\n",
};
constexpr std::string_view kCommonSettings =
    "model.width = 24\noptimizer.lr = 0.003\noptimizer.warmup = 1\noptimizer.clip = 1\nsteps = 2\nevaluations = 1\n";

std::string compute() {
  Collector all;
  add_casts(all);
  add_blocks(all);
  add_elementary(all);
  for (std::string_view recipe : kRecipeSettings)
    for (const Trained& trained : kTrained)
      add_training(all,
                   parse_settings(std::string(trained.settings) + std::string(recipe) + std::string(kCommonSettings)),
                   trained.target);
  return all.digest();
}

}  // namespace

const std::string& numerics_version() {
  static const std::string version = compute();
  return version;
}

}  // namespace halfulp
