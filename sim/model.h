// Models: from a batch to outputs, and back from their gradient to the parameters' gradients.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/experiment.h"
#include "sim/layers.h"
#include "sim/task.h"

namespace halfulp {

/// The recipe's casts apply to every linear layer but the last one, the head.
class Model {
 public:
  virtual ~Model() = default;

  /// Outputs (rows, outputs).
  virtual void forward(const Batch& batch, Tensor& outputs, const PassContext& pass) = 0;
  /// Adds to the gradients, for the batch of the last forward.
  virtual void backward(const Batch& batch, const Tensor& d_outputs, const PassContext& pass) = 0;

  std::vector<Parameter*> parameters;         // in a fixed order
  std::vector<std::string> quantized_layers;  // names, by the index that PassContext::events uses
};

/// Initial weights are a function of the seed and the model's shape alone. `casts` outlives the model.
std::unique_ptr<Model> make_model(const ModelSpec& spec, int features, int outputs, const RecipeCasts& casts,
                                  uint64_t seed);

}  // namespace halfulp
