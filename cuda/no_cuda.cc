// What stands in for the device code in a build without CUDA.
#include <stdexcept>

#include "cuda/convert.h"
#include "cuda/mma.h"

namespace halfulp::cuda {
namespace {

[[noreturn]] void refuse() { throw std::runtime_error("built without CUDA (HALFULP_CUDA is off)"); }

}  // namespace

std::string device_name() { refuse(); }
void convert_to_narrow(Narrow, uint32_t, std::vector<uint8_t>&) { refuse(); }
MxBlocks quantize_mx(Narrow, const std::vector<float>&) { refuse(); }
DeviceInfo device_info() { refuse(); }
std::vector<uint8_t> run_tiles(const Instruction&, const PackedTiles&, int) { refuse(); }

}  // namespace halfulp::cuda
