// Profiles against what their implementations were seen, read or documented to give. Codes are written out here from
// the sources, not computed.
#include "formats/profile.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include <fmt/format.h>

#include "formats/codec.h"

namespace halfulp {
namespace {

using enum Profile;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kMinusNan = -kNan;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr const char* kNone = "none";  // the implementation has no code

/// One cast and its code in hexadecimal. `row`: of the table of disagreements between references, 0 where it is none.
struct Known {
  int row;
  Profile profile;
  const char* format;
  double x;
  const char* code;
  Source source = Source::Binary32;
  std::optional<Rounding> rounding = {};
};

const Known kDisagreements[] = {
    // 465 to e4m3fn: NaN, 448 or 480
    {1, Ocp, "e4m3fn", 465, "7f"},
    {1, MlDtypes, "e4m3fn", 465, "7f"},
    {1, MlDtypes, "e4m3fn", 1e30, "7f"},
    {1, Torch211, "e4m3fn", 465, "7f"},
    {1, Torch213, "e4m3fn", 465, "7e"},
    {1, Cuda, "e4m3fn", 465, "7e"},
    {1, Cuda, "e4m3fn", 1e30, "7e"},
    {1, Cutlass, "e4m3fn", 465, "7e"},
    {1, CutlassDevice, "e4m3fn", 465, "7e"},
    {1, Universal, "e4m3fn", 465, "7f"},
    {1, Cpfloat, "e4m3fn", 465, "7f"},  // which is 480 there
    {1, Cpfloat, "e4m3fn", 1e30, kNone},
    {1, CpfloatSaturate, "e4m3fn", 1e30, "7f"},
    {1, Apfloat, "e4m3fn", 465, "7f"},
    {1, Triton, "e4m3fn", 465, "7e"},
    // 449 to e4m3fn without saturation: only HIP compares before it rounds
    {2, MlDtypes, "e4m3fn", 449, "7e"},
    {2, CudaNosat, "e4m3fn", 449, "7e"},
    {2, Torch211, "e4m3fn", 449, "7e"},
    {2, Apfloat, "e4m3fn", 449, "7e"},
    {2, HipNosat, "e4m3fn", 449, "7f"},
    // 61439 to e5m2 without saturation
    {3, CudaNosat, "e5m2", 61439, "7b"},
    {3, MlDtypes, "e5m2", 61439, "7b"},
    {3, HipNosat, "e5m2", 61439, "7c"},
    {3, HipNosat, "e5m2", 57345, "7c"},
    {3, HipNosat, "e5m2", 57344, "7b"},
    // 241 to 247.9 to e4m3fnuz without saturation
    {4, MlDtypes, "e4m3fnuz", 241, "7f"},
    {4, MlDtypes, "e4m3fnuz", 247.9, "7f"},
    {4, Torch211, "e4m3fnuz", 241, "7f"},
    {4, Torch211, "e4m3fnuz", 247.9, "7f"},
    {4, HipNosat, "e4m3fnuz", 241, "80"},
    {4, HipNosat, "e4m3fnuz", 247.9, "80"},
    // NaN to e4m3fnuz with saturation
    {5, MlDtypesSaturate, "e4m3fnuz", kNan, "80"},
    {5, Hip, "e4m3fnuz", kNan, "7f"},
    // infinity to e4m3fn with saturation
    {6, Cuda, "e4m3fn", kInf, "7e"},
    {6, Cutlass, "e4m3fn", kInf, "7e"},
    {6, Hip, "e4m3fn", kInf, "7e"},
    {6, MlDtypesSaturate, "e4m3fn", kInf, "7f"},
    {6, P3109SatPropagate, "e4m3fn", kInf, "7e"},
    // infinity to e5m2 with saturation
    {7, Cuda, "e5m2", kInf, "7b"},
    {7, Cutlass, "e5m2", kInf, "7b"},
    {7, Hip, "e5m2", kInf, "7b"},
    {7, MlDtypesSaturate, "e5m2", kInf, "7c"},
    // a negative NaN to e4m3fn
    {8, Cuda, "e4m3fn", kMinusNan, "7f"},
    {8, Cuda, "e4m3fn", kMinusNan, "ff", Source::Binary64},
    {8, MlDtypes, "e4m3fn", kMinusNan, "ff"},
    {8, Torch211, "e4m3fn", kMinusNan, "ff"},
    {8, Hip, "e4m3fn", kMinusNan, "ff"},
    {8, Cutlass, "e4m3fn", kMinusNan, "7f"},
    {8, Universal, "e4m3fn", kMinusNan, "ff"},
    // NaN to e5m2
    {9, MlDtypes, "e5m2", kNan, "7e"},
    {9, Apfloat, "e5m2", kNan, "7e"},
    {9, Cuda, "e5m2", kNan, "7f"},
    {9, Torch211, "e5m2", kNan, "7f"},
    {9, Hip, "e5m2", kNan, "7f"},
    {9, Universal, "e5m2", kNan, "7e"},
    {9, Riscv, "e5m2", kNan, "7f"},
    // NaN to e2m1, which has none
    {10, Cuda, "e2m1", kNan, "7"},
    {10, OnnxSaturate, "e2m1", kNan, "7"},
    {10, Fpy, "e2m1", kNan, "7"},
    {10, Cutlass, "e2m1", kNan, "7"},
    {10, Cutlass, "e2m1", kMinusNan, "f"},
    {10, MlDtypes, "e2m1", kNan, "8"},
    {10, MlDtypes, "e2m1", kMinusNan, "0"},
    {10, Universal, "e2m1", kNan, "0"},
    {10, TePython, "e2m1", kNan, "0"},
    {10, Torchao, "e2m1", kNan, "3"},
    {10, Gfloat, "e2m1", kNan, kNone},
    // NaN to e3m2 and e2m3
    {11, Cuda, "e3m2", kNan, "1f"},
    {11, Cuda, "e2m3", kNan, "1f"},
    {11, MlDtypes, "e3m2", kNan, "20"},
    {11, MlDtypes, "e2m3", kNan, "20"},
    {11, Torchao, "e3m2", kNan, "0e"},
    {11, Torchao, "e2m3", kNan, "0c"},
    {11, Universal, "e3m2", kNan, "00"},
    {11, Universal, "e2m3", kNan, "00"},
    // zero to e8m0, which has none
    {12, Cuda, "e8m0", 0.0, "00"},
    {12, Torch211, "e8m0", 0.0, "00"},
    {12, Cutlass, "e8m0", 0.0, "00"},
    {12, Universal, "e8m0", 0.0, "00"},
    {12, MlDtypes, "e8m0", 0.0, "ff"},
    {12, Fpy, "e8m0", 0.0, "ff"},
    // 3 to e8m0: a tie by value, and by code where codes are rounded
    {13, MlDtypes, "e8m0", 3, "81"},
    {13, Torch211, "e8m0", 3, "81"},
    {13, Universal, "e8m0", 3, "81"},
    {13, Fpy, "e8m0", 3, "81"},
    {13, Gfloat, "e8m0", 3, "80"},
    {13, Cuda, "e8m0", 3, "81"},
    {13, Cuda, "e8m0", 3, "80", Source::Binary32, Rounding::TowardZero},
    // 1.25 to e8m0 by default
    {14, Cuda, "e8m0", 1.25, "80"},
    {14, MlDtypes, "e8m0", 1.25, "7f"},
    {14, Torch211, "e8m0", 1.25, "7f"},
    // -1 to e8m0, which has no sign
    {15, Cuda, "e8m0", -1, "7f"},
    {15, Torch211, "e8m0", -1, "7f"},
    {15, Cutlass, "e8m0", -1, "7f"},
    {15, MlDtypes, "e8m0", -1, "ff"},
    {15, Universal, "e8m0", -1, "00"},
    {15, Gfloat, "e8m0", -1, kNone},
    // infinity to e8m0
    {16, Cuda, "e8m0", kInf, "fe"},
    {16, CudaNosat, "e8m0", kInf, "ff"},
    {16, Te, "e8m0", kInf, "fe"},
    {16, Cutlass, "e8m0", kInf, "ff"},
    {16, Universal, "e8m0", kInf, "fe"},
    {16, MlDtypes, "e8m0", kInf, "ff"},
    {16, Torch211, "e8m0", kInf, "ff"},
    // 2^-130 to e8m0, below the smallest number
    {17, Cuda, "e8m0", 0x1p-130, "00"},
    {17, MlDtypes, "e8m0", 0x1p-130, "00"},
    {17, Fpy, "e8m0", 0x1p-130, "ff"},
    {17, Gfloat, "e8m0", 0x1p-130, kNone},
    // -0.25 to ue4m3
    {18, Cutlass, "ue4m3", -0.25, "28"},
    {18, CutlassDevice, "ue4m3", -0.25, "a8"},  // a byte of e4m3fn
    {18, P3109SatNone, "ue4m3", -0.25, "7f"},
    // ties to e2m1
    {19, Cuda, "e2m1", 0.25, "0"},
    {19, Cuda, "e2m1", 2.5, "4"},
    {19, Cuda, "e2m1", 5, "6"},
    {19, MlDtypes, "e2m1", 0.25, "0"},
    {19, MlDtypes, "e2m1", 2.5, "4"},
    {19, MlDtypes, "e2m1", 5, "6"},
    {19, Torchao, "e2m1", 0.25, "0"},
    {19, Torchao, "e2m1", 2.5, "4"},
    {19, Torchao, "e2m1", 5, "6"},
    {19, Microxcaling, "e2m1", 0.25, "1"},
    {19, Microxcaling, "e2m1", 2.5, "5"},
    {19, Microxcaling, "e2m1", 5, "7"},
    // -0 to e2m1
    {20, Cuda, "e2m1", -0.0, "8"},
    {20, MlDtypes, "e2m1", -0.0, "8"},
    {20, TePython, "e2m1", -0.0, "0"},
    {20, TePython, "e2m1", -0.125, "8"},
    {20, Fouroversix, "e2m1", -0.0, "0"},
    // 464 to e4m3fn with ties away
    {21, Gfloat, "e4m3fn", 464, "ff", Source::Binary32, Rounding::TiesToAway},
    {21, Apfloat, "e4m3fn", 464, "7f", Source::Binary32, Rounding::TiesToAway},
    {21, Ocp, "e4m3fn", 464, "7e"},
    // 1e6 to P3109's binary8p4sf, which is e4m3fnuz
    {22, P3109SatNone, "e4m3fnuz", 1e6, "7f"},
    {22, Gfloat, "e4m3fnuz", 1e6, "80"},
    // rounding twice
    {30, Ocp, "e4m3fn", 1.0625001, "39"},
    {30, Triton, "e4m3fn", 1.0625001, "39"},
    {30, TritonSm89, "e4m3fn", 1.0625001, "38"},
    {30, TritonSm89, "e4m3fn", 400.199585, "7c"},
    {30, Triton, "e4m3fn", 400.199585, "7d"},
    // the top of QPyTorch's formats (as values below)
    {31, Qpytorch, "e5m2", 1e9, "7f"},
    {31, Qpytorch, "e4m3fn", 1e9, "7f"},
    {31, Cuda, "e5m2", 1e9, "7b"},
    // -2 and 2.5 to the element of MXINT8
    {32, Gfloat, "s2f6", -2, "80"},
    {32, Fpy, "s2f6", -2, "80"},
    {32, Cuda, "s2f6", -2, "80"},
    {32, Microxcaling, "s2f6", -2, "81"},
    {32, Cuda, "s2f6", 2.5, "7f"},
    {32, Fpy, "s2f6", 2.5, "a0"},
    // a subnormal of bfloat16
    {34, Ocp, "bfloat16", 0x1p-130, "0008"},
    {34, Cpfloat, "bfloat16", 0x1p-130, "0000"},
    {34, Cpfloat, "bfloat16", 0x1.8p-127, "0080"},
    // infinity to FNUZ with saturation
    {35, OnnxSaturate, "e4m3fnuz", kInf, "80"},
    {35, OnnxSaturate, "e5m2fnuz", kInf, "80"},
    {35, MlDtypesSaturate, "e4m3fnuz", kInf, "80"},
    {35, Hip, "e4m3fnuz", kInf, "7f"},
    {35, Hip, "e5m2fnuz", kInf, "7f"},
    // 1.25 and 1.75 to e8m0 by default
    {36, Cuda, "e8m0", 1.25, "80"},
    {36, Cuda, "e8m0", 1.75, "80"},
    {36, OnnxSaturate, "e8m0", 1.25, "80"},
    {36, OnnxSaturate, "e8m0", 1.75, "80"},
    {36, MlDtypes, "e8m0", 1.25, "7f"},
    {36, MlDtypes, "e8m0", 1.75, "80"},
    {36, Torch213, "e8m0", 1.25, "7f"},
    {36, Torch213, "e8m0", 1.75, "80"},
    {36, Onednn, "e8m0", 1.25, "7f"},
    {36, Onednn, "e8m0", 1.75, "7f"},
    // NaN to FNUZ
    {37, Ocp, "e4m3fnuz", kNan, "80"},
    {37, MlDtypes, "e4m3fnuz", kNan, "80"},
    {37, Gfloat, "e4m3fnuz", kNan, "80"},
    {37, P3109SatNone, "e4m3fnuz", kNan, "80"},
    {37, Fpy, "e4m3fnuz", kNan, "00"},
    {37, Fpy, "e5m2fnuz", kNan, "00"},
};

// What each profile does with overflow, infinities, NaN and zero, where no disagreement above says so.
const Known kBehaviours[] = {
    {0, Cuda, "e4m3fn", -465, "fe"},
    {0, Cuda, "e4m3fn", -kInf, "fe"},
    {0, Cuda, "e5m2", 61440, "7b"},
    {0, Cuda, "e5m2", kMinusNan, "7f"},
    {0, Cuda, "e5m2", kMinusNan, "fe", Source::Binary64},
    {0, Cuda, "e5m2", kNan, "7e", Source::Binary64},
    {0, Cuda, "e2m1", 1e30, "7"},
    {0, Cuda, "e2m1", -kInf, "f"},
    {0, Cuda, "e2m1", kMinusNan, "7"},
    {0, Cuda, "e3m2", -kInf, "3f"},
    {0, Cuda, "e8m0", 0x1.8p+127, "fe"},
    {0, Cuda, "e8m0", kNan, "ff"},
    {0, Cuda, "e8m0", 1.5, "80"},
    {0, Cuda, "e8m0", -2, "80"},
    {0, Cuda, "e8m0", 1 + 0x1p-52, "80", Source::Binary64},
    {0, Cuda, "binary16", kMinusNan, "7fff"},
    {0, Cuda, "binary16", -1e9, "fc00"},
    {0, Cuda, "bfloat16", kNan, "7fff"},
    {0, Cuda, "s2f6", kNan, "7f"},
    {0, CudaNosat, "e4m3fn", 465, "7f"},
    {0, CudaNosat, "e4m3fn", -465, "ff"},
    {0, CudaNosat, "e4m3fn", -kInf, "ff"},
    {0, CudaNosat, "e4m3fn", kMinusNan, "7f"},
    {0, CudaNosat, "e5m2", 61440, "7c"},
    {0, CudaNosat, "e5m2", kMinusNan, "fe", Source::Binary64},
    {0, CudaNosat, "e5m2", -kInf, "fc"},
    {0, CudaNosat, "e8m0", 0x1.8p+127, "ff"},
    {0, MlDtypes, "e4m3fn", -465, "ff"},
    {0, MlDtypes, "e4m3fn", kInf, "7f"},
    {0, MlDtypes, "e5m2", 61440, "7c"},
    {0, MlDtypes, "e5m2", -kInf, "fc"},
    {0, MlDtypes, "e5m2", kMinusNan, "fe"},
    {0, MlDtypes, "e5m2fnuz", 1e9, "80"},
    {0, MlDtypes, "e4m3b11fnuz", kInf, "80"},
    {0, MlDtypes, "e4m3fnuz", -0.0, "00"},
    {0, MlDtypes, "e4m3fnuz", -1e-20, "00"},
    {0, MlDtypes, "e2m1", -1e9, "f"},
    {0, MlDtypes, "e3m2", kInf, "1f"},
    {0, MlDtypes, "e2m3", kMinusNan, "00"},
    {0, MlDtypes, "e8m0", 0x1.8p+127, "ff"},
    {0, MlDtypes, "e8m0", 0x1.7ffffep+127, "fe"},
    {0, MlDtypes, "e8m0", -0.0, "ff"},
    {0, MlDtypes, "e8m0", 0x1.4p-127, "01"},
    {0, MlDtypes, "e8m0", 0x1p-127, "00"},
    {0, MlDtypes, "int4", 7.9, "7"},
    {0, MlDtypes, "int4", 8, "8"},
    {0, MlDtypes, "int4", -9, "7"},
    {0, MlDtypes, "int4", -1.9, "f"},
    {0, MlDtypes, "int4", 1000, "8"},
    {0, MlDtypes, "int4", kNan, "0"},
    {0, MlDtypes, "int4", kInf, "0"},
    {0, MlDtypes, "int2", 15, "3"},
    {0, MlDtypesSaturate, "e4m3fn", 1e30, "7e"},
    {0, MlDtypesSaturate, "e4m3fn", -1e30, "fe"},
    {0, MlDtypesSaturate, "e4m3fn", -kInf, "ff"},
    {0, MlDtypesSaturate, "e5m2", 1e9, "7b"},
    {0, MlDtypesSaturate, "e2m1", kNan, "8"},
    {0, MlDtypesSaturate, "e8m0", 0x1.8p+127, "fe"},
    {0, MlDtypesSaturate, "e8m0", kInf, "ff"},
    {0, MlDtypesSaturate, "e8m0", 0.0, "00"},
    {0, MlDtypesSaturate, "e8m0", -1, "00"},
    {0, Torch211, "e4m3fn", -465, "ff"},
    {0, Torch211, "e4m3fn", kInf, "7f"},
    {0, Torch211, "e5m2", 61440, "7c"},
    {0, Torch211, "e5m2", kMinusNan, "ff"},
    {0, Torch211, "e5m2fnuz", kInf, "80"},
    {0, Torch211, "e8m0", 0x1.8p+127, "ff"},
    {0, Torch211, "e8m0", kNan, "ff"},
    {0, Torch211, "e8m0", -0x1.4p-127, "01"},
    {0, Torch213, "e4m3fn", -1e30, "fe"},
    {0, Torch213, "e4m3fn", kInf, "7f"},
    {0, Torch213, "e4m3fn", kMinusNan, "ff"},
    {0, Torch213, "e5m2", kInf, "7c"},
    {0, Torch213, "e4m3fnuz", 1e9, "80"},
    {0, Cutlass, "e5m2", kMinusNan, "7f"},
    {0, Cutlass, "e5m2", -1e9, "fb"},
    {0, Cutlass, "e3m2", kMinusNan, "3f"},
    {0, Cutlass, "e2m3", kInf, "1f"},
    {0, Cutlass, "ue4m3", kInf, "7e"},
    {0, Cutlass, "ue4m3", 1e9, "7e"},
    {0, Cutlass, "ue4m3", kNan, "7f"},
    {0, Cutlass, "e8m0", 0x1.8p+127, "fe"},
    {0, Cutlass, "e8m0", kNan, "ff"},
    {0, CutlassDevice, "e8m0", kInf, "fe"},
    {0, CutlassDevice, "ue4m3", 0.25, "28"},
    {0, CutlassDevice, "e5m2", kNan, "7f"},
    {0, Hip, "e4m3fn", -1e9, "fe"},
    {0, Hip, "e5m2", 1e9, "7b"},
    {0, Hip, "e5m2fnuz", kMinusNan, "ff"},
    {0, Hip, "e4m3fnuz", -kInf, "ff"},
    {0, Hip, "e5m2", kMinusNan, "ff"},
    {0, HipNosat, "e4m3fn", -449, "ff"},
    {0, HipNosat, "e4m3fn", 448, "7e"},
    {0, HipNosat, "e5m2", -kInf, "fc"},
    {0, HipNosat, "e4m3fnuz", kNan, "80"},
    {0, HipNosat, "e5m2fnuz", kInf, "80"},
    {0, Universal, "e4m3fn", kInf, "7f"},
    {0, Universal, "e8m0", kNan, "ff"},
    {0, Gfloat, "e4m3fn", 465, "ff"},
    {0, Gfloat, "e4m3fn", kNan, "ff"},
    {0, Gfloat, "e5m2", 1e9, "7c"},
    {0, Gfloat, "e5m2", kNan, "ff"},
    {0, Gfloat, "e2m1", 1e9, kNone},
    {0, Gfloat, "e2m1", kInf, kNone},
    {0, Gfloat, "e2m1", 6.5, "7"},
    {0, Gfloat, "e2m1", 1e9, "7", Source::Binary32, Rounding::TowardZero},
    {0, Gfloat, "e8m0", 0.0, kNone},
    {0, Gfloat, "e8m0", 0x1.8p-128, "00"},
    {0, GfloatSaturate, "e4m3fn", kInf, "7e"},
    {0, GfloatSaturate, "e4m3fn", -1e9, "fe"},
    {0, GfloatSaturate, "e2m1", -kInf, "f"},
    {0, GfloatSaturate, "e2m1", kNan, kNone},
    {0, GfloatSaturate, "e8m0", kInf, "fe"},
    {0, Cpfloat, "e4m3fn", 495, "7f"},
    {0, Cpfloat, "e4m3fn", 496, kNone},
    {0, Cpfloat, "e4m3fn", kNan, kNone},
    {0, Cpfloat, "e4m3fn", kInf, kNone},
    {0, CpfloatSaturate, "e4m3fn", -kInf, "ff"},
    {0, CpfloatSaturate, "e4m3fn", kNan, kNone},
    {0, Qpytorch, "e5m2", kInf, "7f"},
    {0, Qpytorch, "e4m3fn", 1.0625, "39"},
    {0, Apfloat, "e4m3fn", -465, "ff"},
    {0, Apfloat, "e4m3fn", 465, "7e", Source::Binary32, Rounding::TowardZero},
    {0, Apfloat, "e4m3fn", 465, "7f", Source::Binary32, Rounding::TowardPositive},
    {0, Apfloat, "e4m3fn", -465, "fe", Source::Binary32, Rounding::TowardPositive},
    {0, Apfloat, "e4m3fn", 465, "7e", Source::Binary32, Rounding::TowardNegative},
    {0, Apfloat, "e4m3fn", -465, "ff", Source::Binary32, Rounding::TowardNegative},
    {0, Apfloat, "e4m3fn", kMinusNan, "ff"},
    {0, Apfloat, "e2m1", kNan, kNone},
    {0, OnnxSaturate, "e4m3fn", kInf, "7e"},
    {0, OnnxSaturate, "e4m3fn", -1e9, "fe"},
    {0, OnnxSaturate, "e4m3fn", kNan, "7f"},
    {0, OnnxSaturate, "e5m2", -kInf, "fb"},
    {0, OnnxSaturate, "e4m3fnuz", 1e9, "7f"},
    {0, OnnxSaturate, "e5m2fnuz", kNan, "80"},
    {0, OnnxSaturate, "e2m1", -kInf, "f"},
    {0, OnnxSaturate, "e2m1", -0.0, "8"},
    {0, OnnxNosat, "e4m3fn", -465, "ff"},
    {0, OnnxNosat, "e4m3fn", kMinusNan, "ff"},
    {0, OnnxNosat, "e5m2", -1e9, "fc"},
    {0, OnnxNosat, "e4m3fnuz", 1e9, "80"},
    {0, OnnxNosat, "e2m1", kNan, "7"},
    {0, Onednn, "e8m0", kInf, "ff"},
    {0, Onednn, "e8m0", kNan, "ff"},
    {0, Onednn, "e8m0", -3, "80"},
    {0, Onednn, "e8m0", 0.0, "00"},
    {0, Onednn, "e8m0", 0x1.fcp-127, "00"},
    {0, Riscv, "e4m3fn", kInf, "7e"},
    {0, Riscv, "e4m3fn", kMinusNan, "7f"},
    {0, RiscvNosat, "e4m3fn", -kInf, "ff"},
    {0, RiscvNosat, "e5m2", kInf, "7c"},
    {0, RiscvNosat, "e5m2", kMinusNan, "7f"},
    {0, P3109SatFinite, "e4m3fnuz", -kInf, "ff"},
    {0, P3109SatFinite, "e5m2", kInf, "7b"},
    {0, P3109SatPropagate, "e5m2", 1e9, "7b"},
    {0, P3109SatPropagate, "e5m2", kInf, "7c"},
    {0, P3109SatPropagate, "e4m3fnuz", kInf, "7f"},
    {0, P3109SatNone, "e5m2", 1e9, "7c"},
    {0, P3109SatNone, "e5m2", 1e9, "7b", Source::Binary32, Rounding::TowardNegative},
    {0, P3109SatNone, "e5m2", -1e9, "fb", Source::Binary32, Rounding::TowardPositive},
    {0, P3109SatNone, "ue4m3", -kInf, "7f"},
    {0, P3109SatNone, "ue4m3", -0x1p-10, "00"},
    {0, P3109SatNone, "ue4m3", -0x1.8p-10, "7f"},
    {0, P3109SatNone, "ue4m3", -1, "00", Source::Binary32, Rounding::TowardZero},
    {0, P3109SatNone, "ue4m3", -1, "00", Source::Binary32, Rounding::TowardPositive},
    {0, P3109SatNone, "ue4m3", 1e9, "7e"},
    {0, P3109SatFinite, "ue4m3", -1, "00"},
    {0, P3109SatPropagate, "ue4m3", -kInf, "00"},
    {0, Triton, "e4m3fn", -kInf, "fe"},
    {0, TritonSm89, "e4m3fn", 1e9, "7e"},
    {0, Microxcaling, "e4m3fn", 1e9, "7e"},
    {0, Microxcaling, "s2f6", 3, "7f"},
    {0, Microxcaling, "e2m1", kNan, kNone},
    {0, Torchao, "e2m1", kInf, "7"},
    {0, Torchao, "e2m1", kMinusNan, "b"},
    {0, Te, "e8m0", 1.25, "80"},
    {0, Te, "e8m0", kNan, "ff"},
    {0, TePython, "e2m1", 0.25, "0"},
    {0, TePython, "e2m1", -kInf, "f"},
    {0, Fouroversix, "e2m1", -0.125, "0"},
    {0, Fpy, "e4m3fn", kMinusNan, "7f"},
    {0, Fpy, "e4m3fn", -kInf, "ff"},
    {0, Fpy, "e4m3fnuz", 1e9, "00"},
    {0, Fpy, "e4m3fnuz", -1e9, "80"},
    {0, Fpy, "e5m2", kNan, "7e"},
    {0, Fpy, "e8m0", 0x1.8p-128, "00"},
    {0, Fpy, "e8m0", 0x1p-128, "ff"},
    {0, Fpy, "e8m0", -1, "ff"},
    {0, Fpy, "s2f6", -2.5, "60"},
    {0, Fpy, "s2f6", 465, "40"},
    {0, Fpy, "s2f6", 1e30, "00"},
    {0, Fpy, "s2f6", kNan, kNone},
};

ProfileCast cast_of(const Known& known) {
  ProfileCast cast = profile_cast(known.profile, parse_format(known.format), known.source);
  if (known.rounding) cast.projection.rounding = *known.rounding;
  return cast;
}

std::string code_of(const Known& known) {
  const ProfileCast cast = cast_of(known);
  const std::optional<uint32_t> code = cast.encode(Real::of(known.x));
  return code ? fmt::format("{:0{}x}", *code, (cast.format.bits() + 3) / 4) : kNone;
}

void expect_known(const Known& known) {
  EXPECT_EQ(code_of(known), known.code) << fmt::format("row {}: {} {} {:a} ({})", known.row, name(known.profile),
                                                       known.format, known.x, name(known.source));
}

TEST(Profile, gives_every_disagreement_of_the_references) {
  for (const Known& known : kDisagreements) expect_known(known);
}

TEST(Profile, behaves_as_its_implementation_does) {
  for (const Known& known : kBehaviours) expect_known(known);
}

// Rows 23 to 27, 29 and 33 are about blocks and packing, row 28 about decoding.
TEST(Profile, is_tested_on_every_disagreement_about_casts) {
  std::set<int> rows, expected;
  for (const Known& known : kDisagreements) rows.insert(known.row);
  for (int row = 1; row <= 37; ++row)
    if (row < 23 || (row > 29 && row != 33)) expected.insert(row);
  EXPECT_EQ(rows, expected);
}

TEST(Profile, is_tested_for_every_row) {
  std::set<const ProfileRow*> tested;
  for (const Known& known : kDisagreements) tested.insert(cast_of(known).row);
  for (const Known& known : kBehaviours) tested.insert(cast_of(known).row);
  for (const ProfileRow& row : profile_rows())
    EXPECT_TRUE(tested.count(&row)) << name(row.profile) << " " << row.formats;
}

TEST(Profile, has_a_row_and_reads_its_name) {
  std::set<Profile> with_row;
  for (const ProfileRow& row : profile_rows()) with_row.insert(row.profile);
  for (const auto& [profile, text] : EnumNames<Profile>::values) {
    EXPECT_TRUE(with_row.count(profile)) << text;
    EXPECT_EQ(parse<Profile>(text), profile);
  }
  EXPECT_EQ(with_row.size(), std::size(EnumNames<Profile>::values));
}

TEST(Profile, knows_formats_that_exist) {
  for (const ProfileRow& row : profile_rows()) {
    std::string_view rest = row.formats;
    while (rest != "*" && !rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      EXPECT_EQ(std::string_view(parse_format(word).name), word) << name(row.profile);
      rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    }
  }
}

TEST(Profile, refuses_other_formats_with_those_it_knows) {
  EXPECT_FALSE(find_cast(Hip, parse_format("e2m1"), Source::Binary32));
  EXPECT_FALSE(find_cast(Cuda, parse_format("e6m9"), Source::Binary64));
  try {
    profile_cast(Onednn, parse_format("e4m3fn"), Source::Binary32);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "profile onednn does not cast to e4m3fn; it knows e8m0");
  }
  EXPECT_EQ(known_formats(Hip), "e4m3fn e5m2 e4m3fnuz e5m2fnuz");
  EXPECT_EQ(known_formats(Ocp), "*");
}

// Row 31 of the disagreements: the numbers.
TEST(Profile, of_qpytorch_and_cpfloat_has_numbers_in_place_of_nans) {
  const auto largest = [](Profile profile, const char* format) {
    const ProfileCast cast = profile_cast(profile, parse_format(format), Source::Binary32);
    return decode(cast.format, *cast.encode(Real::of(1e9)));
  };
  EXPECT_EQ(largest(Qpytorch, "e5m2"), 114688);
  EXPECT_EQ(largest(Qpytorch, "e4m3fn"), 480);
  EXPECT_EQ(largest(CpfloatSaturate, "e4m3fn"), 480);
  EXPECT_EQ(largest(Cuda, "e5m2"), 57344);
  EXPECT_EQ(largest(Cuda, "e4m3fn"), 448);
}

// Row 28 of the disagreements.
TEST(Profile, of_bit_shifting_decoders_reads_the_e8m0_code_0_as_zero) {
  const Format e8m0 = parse_format("e8m0"), e4m3fn = parse_format("e4m3fn");
  for (const Profile profile : {Ocp, Cuda, MlDtypes, Torch211}) EXPECT_EQ(decode(profile, e8m0, 0), 0x1p-127);
  for (const Profile profile : {Triton, Fouroversix}) {
    EXPECT_EQ(decode(profile, e8m0, 0), 0.0);
    EXPECT_EQ(decode(profile, e8m0, 1), 0x1p-126);
    EXPECT_EQ(decode(profile, e4m3fn, 1), 0x1p-9);
  }
}

TEST(Profile, keeps_payloads_of_doubles_that_cuda_casts) {
  const Format e5m2 = parse_format("e5m2");
  const double full = std::bit_cast<double>(0x7fffffffffffffff);
  EXPECT_EQ(profile_cast(Cuda, e5m2, Source::Binary64).encode(Real::of(full)), 0x7fu);
}

// P3109: ToOdd takes the odd one of the largest number and infinity, which is the largest number of unsigned extended
// formats alone.
TEST(Profile, of_p3109_overflows_to_the_odd_code_under_to_odd) {
  const Format extended_unsigned{"binary8p4ue", Encoding::Unsigned, 5, 3, 16, NanCodes::Top, true, true, true, false,
                                 "P3109"};
  const Format extended_signed{
      "binary8p4se", Encoding::SignMagnitude, 4, 3, 8, NanCodes::NegativeZero, true, true, true, false, "P3109"};
  const auto code = [](const Format& format, Rounding rounding, double x) {
    ProfileCast cast = profile_cast(P3109SatNone, format, Source::Binary32);
    cast.projection.rounding = rounding;
    return *cast.encode(Real::of(x));
  };
  EXPECT_EQ(code(extended_unsigned, Rounding::ToOdd, 1e9), 0xfd);
  EXPECT_EQ(code(extended_unsigned, Rounding::TiesToEven, 1e9), 0xfe);
  EXPECT_EQ(code(extended_unsigned, Rounding::ToOdd, kInf), 0xfe);
  EXPECT_EQ(code(extended_signed, Rounding::ToOdd, 1e9), 0x7f);
  EXPECT_EQ(code(extended_signed, Rounding::ToOdd, -1e9), 0xff);
  EXPECT_EQ(code(parse_format("e4m3fnuz"), Rounding::ToOdd, 1e9), 0x7f);
}

/// One input and what the host functions of CUDA 13.0.88's headers make of it: nearest even, saturating or not, and
/// toward zero; for e8m0 toward zero and up, saturating or not.
struct CudaRow {
  float x;
  uint32_t e4m3_sat, e4m3_nosat, e5m2_sat, e5m2_nosat, e3m2_rn, e3m2_rz, e2m3_rn, e2m3_rz, e2m1_rn, e2m1_rz;
  uint32_t e8m0_rz_sat, e8m0_rz_nosat, e8m0_rp_sat, e8m0_rp_nosat;
};

const CudaRow kCudaRows[] = {
    {0.0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x00, 0x00},
    {-0.0f, 0x80, 0x80, 0x80, 0x80, 0x20, 0x20, 0x20, 0x20, 0x8, 0x8, 0x00, 0x00, 0x00, 0x00},
    {1.0f, 0x38, 0x38, 0x3c, 0x3c, 0x0c, 0x0c, 0x08, 0x08, 0x2, 0x2, 0x7f, 0x7f, 0x7f, 0x7f},
    {0.25f, 0x28, 0x28, 0x34, 0x34, 0x04, 0x04, 0x02, 0x02, 0x0, 0x0, 0x7d, 0x7d, 0x7d, 0x7d},
    {0.25000009f, 0x28, 0x28, 0x34, 0x34, 0x04, 0x04, 0x02, 0x02, 0x1, 0x0, 0x7d, 0x7d, 0x7e, 0x7e},
    {0.75f, 0x34, 0x34, 0x3a, 0x3a, 0x0a, 0x0a, 0x06, 0x06, 0x2, 0x1, 0x7e, 0x7e, 0x7f, 0x7f},
    {1.25f, 0x3a, 0x3a, 0x3d, 0x3d, 0x0d, 0x0d, 0x0a, 0x0a, 0x2, 0x2, 0x7f, 0x7f, 0x80, 0x80},
    {1.75f, 0x3e, 0x3e, 0x3f, 0x3f, 0x0f, 0x0f, 0x0e, 0x0e, 0x4, 0x3, 0x7f, 0x7f, 0x80, 0x80},
    {2.5f, 0x42, 0x42, 0x41, 0x41, 0x11, 0x11, 0x12, 0x12, 0x4, 0x4, 0x80, 0x80, 0x81, 0x81},
    {3.5f, 0x46, 0x46, 0x43, 0x43, 0x13, 0x13, 0x16, 0x16, 0x6, 0x5, 0x80, 0x80, 0x81, 0x81},
    {5.0f, 0x4a, 0x4a, 0x45, 0x45, 0x15, 0x15, 0x1a, 0x1a, 0x6, 0x6, 0x81, 0x81, 0x82, 0x82},
    {6.0f, 0x4c, 0x4c, 0x46, 0x46, 0x16, 0x16, 0x1c, 0x1c, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {7.0f, 0x4e, 0x4e, 0x47, 0x47, 0x17, 0x17, 0x1e, 0x1e, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {7.75f, 0x50, 0x50, 0x48, 0x48, 0x18, 0x17, 0x1f, 0x1f, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {448.0f, 0x7e, 0x7e, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {464.0f, 0x7e, 0x7e, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {464.1f, 0x7e, 0x7f, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {480.0f, 0x7e, 0x7f, 0x60, 0x60, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {1e30f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xe2, 0xe2, 0xe3, 0xe3},
    {61439.0f, 0x7e, 0x7f, 0x7b, 0x7b, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x8e, 0x8e, 0x8f, 0x8f},
    {61440.0f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x8e, 0x8e, 0x8f, 0x8f},
    {INFINITY, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xfe, 0xff, 0xfe, 0xff},
    {-INFINITY, 0xfe, 0xff, 0xfb, 0xfc, 0x3f, 0x3f, 0x3f, 0x3f, 0xf, 0xf, 0xfe, 0xff, 0xfe, 0xff},
    {0x1p-10f, 0x00, 0x00, 0x14, 0x14, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x75, 0x75, 0x75, 0x75},
    {0x1.000002p-10f, 0x01, 0x01, 0x14, 0x14, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x75, 0x75, 0x76, 0x76},
    {-1e-20f, 0x80, 0x80, 0x80, 0x80, 0x20, 0x20, 0x20, 0x20, 0x8, 0x8, 0x3c, 0x3c, 0x3d, 0x3d},
    {NAN, 0x7f, 0x7f, 0x7f, 0x7f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xff, 0xff, 0xff, 0xff},
    {0x1p-127f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x00, 0x00},
    {0x1.000004p-127f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x01, 0x01},
    {0x1.000002p-126f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x01, 0x01, 0x02, 0x02},
    {0x1.000002p+127f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xfe, 0xfe, 0xfe, 0xff},
    {-1.5f, 0xbc, 0xbc, 0xbe, 0xbe, 0x2e, 0x2e, 0x2c, 0x2c, 0xb, 0xb, 0x7f, 0x7f, 0x80, 0x80},
};

TEST(Profile, cuda_gives_the_table_of_the_host_headers_from_float_and_double) {
  for (const CudaRow& row : kCudaRows)
    for (const Source source : {Source::Binary32, Source::Binary64}) {
      const bool is_double_nan = std::isnan(row.x) && source == Source::Binary64;
      const auto expect = [&](const char* format, Rounding rounding, bool saturates, uint32_t want) {
        Policies chosen = policies(Cuda, source);
        if (!saturates) chosen.overflow = Overflow::ToInfinity;
        const uint32_t got = encode(parse_format(format), {.rounding = rounding, .policies = chosen}, Real::of(row.x));
        EXPECT_EQ(got, want) << fmt::format("{} {} of {:a} saturating {}: got {:#x}, want {:#x}", format,
                                            name(rounding), row.x, saturates, got, want);
      };
      using enum Rounding;
      expect("e4m3fn", TiesToEven, true, row.e4m3_sat);
      expect("e4m3fn", TiesToEven, false, row.e4m3_nosat);
      expect("e5m2", TiesToEven, true, is_double_nan ? 0x7e : row.e5m2_sat);
      expect("e5m2", TiesToEven, false, is_double_nan ? 0x7e : row.e5m2_nosat);
      expect("e3m2", TiesToEven, true, row.e3m2_rn);
      expect("e3m2", TowardZero, true, row.e3m2_rz);
      expect("e2m3", TiesToEven, true, row.e2m3_rn);
      expect("e2m3", TowardZero, true, row.e2m3_rz);
      expect("e2m1", TiesToEven, true, row.e2m1_rn);
      expect("e2m1", TowardZero, true, row.e2m1_rz);
      expect("e8m0", TowardZero, true, row.e8m0_rz_sat);
      expect("e8m0", TowardZero, false, row.e8m0_rz_nosat);
      expect("e8m0", TowardPositive, true, row.e8m0_rp_sat);
      expect("e8m0", TowardPositive, false, row.e8m0_rp_nosat);
    }
}

}  // namespace
}  // namespace halfulp
