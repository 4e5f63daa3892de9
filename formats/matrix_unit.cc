#include "formats/matrix_unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace halfulp {
namespace {

constexpr std::string_view kMmaSim = "microsoft/MMA-Sim c785138";
constexpr std::string_view kNewMmaSim = "peichenxie/MMA-Sim";
constexpr std::string_view kPtx = "PTX ISA 9.4";
constexpr std::string_view kSdm = "Intel SDM";
constexpr std::string_view kArm = "Arm Architecture Reference Manual";

// A generation of NVIDIA tensor cores.
struct Generation {
  std::string_view name, architecture;
  int bytes;     // of an operand's row that are added together
  int fraction;  // F

  // The exponent below which a grid never falls: unobservable but for bfloat16, tf32 and small scales.
  int zero_exponent() const { return -108 - fraction; }
  // The same where mma.sync accumulates binary16.
  int zero_exponent_half() const { return 3 - fraction; }
};
constexpr Generation kVolta = {"volta", "NVIDIA Volta (sm_70)", 8, 23},
                     kTuring = {"turing", "NVIDIA Turing (sm_75)", 16, 24},
                     kAmpere = {"ampere", "NVIDIA Ampere (sm_80, sm_86)", 16, 24},
                     kAda = {"ada", "NVIDIA Ada (sm_89)", 16, 24},
                     kHopper = {"hopper", "NVIDIA Hopper (sm_90)", 32, 25},
                     kBlackwell = {"blackwell", "NVIDIA Blackwell (sm_100)", 32, 25},
                     kRtxBlackwell = {"rtx_blackwell", "NVIDIA Blackwell (sm_120)", 32, 25};

// How PTX spells a format, and units their names.
std::string_view short_name(std::string_view format) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kShort = {{{"binary16", "f16"},
                                                                                    {"bfloat16", "bf16"},
                                                                                    {"e4m3fn", "e4m3"},
                                                                                    {"binary32", "f32"},
                                                                                    {"binary64", "f64"},
                                                                                    {"int8", "s8"},
                                                                                    {"uint8", "u8"},
                                                                                    {"int32", "s32"}}};
  for (const auto& [name, text] : kShort)
    if (name == format) return text;
  if (format == "int4") return "s4";
  if (format == "uint4") return "u4";
  return format;
}

bool is_fp8(std::string_view format) { return format == "e4m3fn" || format == "e5m2"; }

// "GENERATION.FAMILY.A[.B][.ACCUMULATOR][.kK]", where B differs from A and the accumulator is not the usual one.
std::string unit_name(std::string_view generation, std::string_view family, std::string_view a, std::string_view b,
                      std::string_view accumulator, std::string_view usual, int k, int usual_k) {
  std::string name = fmt::format("{}.{}.{}", generation, family, short_name(a));
  if (a != b) name += fmt::format(".{}", short_name(b));
  if (accumulator != usual) name += fmt::format(".{}", short_name(accumulator));
  if (k != usual_k) name += fmt::format(".k{}", k);
  return name;
}

// mma.sync, wgmma and tcgen05 without block scales.
MatrixUnit truncated(const Generation& g, std::string_view family, std::string_view shape, std::string_view a,
                     std::string_view b, std::string_view accumulator, int k, int usual_k) {
  const int bits = a == "tf32" ? 32 : parse_format(a).bits();
  const bool is_half = accumulator == "binary16";
  // FP8 units of Ada and Hopper keep 13 bits of terms and of results.
  const bool is_short = is_fp8(a) && (g.name == "ada" || g.name == "hopper");
  MatrixUnit unit{
      .name = unit_name(g.name, family, a, b, accumulator, "binary32", k, usual_k),
      .architecture = g.architecture,
      .instruction = fmt::format("{}k{}.{}.{}.{}", shape, k, short_name(accumulator), short_name(a), short_name(b)),
      .a = a,
      .b = b,
      .accumulator = accumulator,
      .k = k,
      .operation = DotOperation::TruncatedFused};
  unit.block = std::min(k, 8 * g.bytes / std::max(bits, 8));
  unit.fraction = is_short ? 13 : g.fraction;
  unit.zero_exponent = is_half && family == "mma" ? g.zero_exponent_half() : g.zero_exponent();
  unit.result = is_half ? "binary16" : is_short ? "e8m13" : "binary32";
  unit.rounding = is_half ? Rounding::TiesToEven : Rounding::TowardZero;
  unit.source = kMmaSim;
  return unit;
}

// mma.sync of FP8 where it is lowered to that of binary16.
MatrixUnit via_half(const Generation& g, std::string_view a, std::string_view b, std::string_view accumulator, int k) {
  MatrixUnit unit = truncated(g, "mma", "mma.sync.m16n8", a, b, accumulator, k, 32);
  unit.operation = DotOperation::ViaHalf;
  unit.block = k / 2;
  unit.fraction = g.fraction;
  unit.zero_exponent = g.zero_exponent();
  if (accumulator != "binary16") unit.result = "binary32";
  unit.source = k == 32 ? "lowering seen in captured outputs; a later ptxas may differ"
                        : "lowering read in the code that ptxas 13.0 makes";
  return unit;
}

MatrixUnit scaled(const Generation& g, std::string_view kind, std::string_view a, std::string_view b,
                  std::string_view scale, int scale_block) {
  const bool is_group = kind != "mxf8f6f4";
  MatrixUnit unit =
      truncated(g, kind, fmt::format("kind::{}.", kind), a, b, "binary32", is_group ? 64 : 32, is_group ? 64 : 32);
  unit.block = unit.k;
  unit.scale = scale;
  unit.scale_block = scale_block;
  if (!is_group) return unit;
  if (kind == "mxf4nvf4") unit.name += fmt::format(".{}x{}", scale, scale_block);
  unit.operation = DotOperation::GroupScaledFused;
  unit.group = 16;
  unit.fraction = 35;
  unit.zero_exponent = -139;
  return unit;
}

MatrixUnit binary64_chain(std::string_view suffix, int m, int k, Rounding rounding) {
  const std::string_view modifier = rounding == Rounding::TiesToEven ? "" : suffix;
  return {.name = fmt::format("ampere.mma.f64{}", suffix),
          .architecture = "NVIDIA Ampere and later",
          .instruction = fmt::format("mma.sync.m{}n8k{}.f64{}", m, k, modifier),
          .a = "binary64",
          .b = "binary64",
          .accumulator = "binary64",
          .k = k,
          .operation = DotOperation::FmaChain,
          .rounding = rounding};
}

MatrixUnit whole(std::string_view name, std::string_view architecture, std::string instruction, std::string_view a,
                 std::string_view b, int k, bool saturates, Evidence evidence, std::string_view source) {
  return {.name = std::string(name) + (saturates ? ".satfinite" : ""),
          .architecture = architecture,
          .instruction = std::move(instruction),
          .a = a,
          .b = b,
          .accumulator = "int32",
          .k = k,
          .operation = DotOperation::Integer,
          .saturates = saturates,
          .evidence = evidence,
          .source = source};
}

void add_nvidia(std::vector<MatrixUnit>& all) {
  constexpr std::string_view kMma = "mma.sync.m16n8";
  // Volta and Turing
  for (const std::string_view accumulator : {"binary32", "binary16"}) {
    all.push_back(truncated(kVolta, "mma", "mma.sync.m8n8", "binary16", "binary16", accumulator, 4, 4));
    all.push_back(truncated(kTuring, "mma", kMma, "binary16", "binary16", accumulator, 8, 8));
  }
  for (const Generation& g : {kAmpere, kAda, kHopper, kBlackwell}) {
    for (const int k : {16, 8}) {
      all.push_back(truncated(g, "mma", kMma, "binary16", "binary16", "binary32", k, 16));
      all.push_back(truncated(g, "mma", kMma, "binary16", "binary16", "binary16", k, 16));
      all.push_back(truncated(g, "mma", kMma, "bfloat16", "bfloat16", "binary32", k, 16));
      all.push_back(truncated(g, "mma", kMma, "tf32", "tf32", "binary32", k / 2, 8));
    }
  }
  const std::string_view fp8[] = {"e4m3fn", "e5m2"};
  for (const std::string_view a : fp8)
    for (const std::string_view b : fp8)
      for (const std::string_view accumulator : {"binary32", "binary16"}) {
        for (const int k : {32, 16}) {
          all.push_back(truncated(kAda, "mma", kMma, a, b, accumulator, k, 32));
          all.push_back(via_half(kHopper, a, b, accumulator, k));
          all.push_back(via_half(kBlackwell, a, b, accumulator, k));
        }
        all.push_back(truncated(kHopper, "wgmma", "wgmma.m64nN", a, b, accumulator, 32, 32));
      }
  for (const std::string_view accumulator : {"binary32", "binary16"}) {
    all.push_back(truncated(kHopper, "wgmma", "wgmma.m64nN", "binary16", "binary16", accumulator, 16, 16));
    all.push_back(
        truncated(kBlackwell, "tcgen05", "tcgen05.mma.kind::f16.", "binary16", "binary16", accumulator, 16, 16));
  }
  all.push_back(truncated(kHopper, "wgmma", "wgmma.m64nN", "bfloat16", "bfloat16", "binary32", 16, 16));
  all.push_back(truncated(kHopper, "wgmma", "wgmma.m64nN", "tf32", "tf32", "binary32", 8, 8));
  all.push_back(truncated(kBlackwell, "tcgen05", "tcgen05.mma.kind::f16.", "bfloat16", "bfloat16", "binary32", 16, 16));
  all.push_back(truncated(kBlackwell, "tcgen05", "tcgen05.mma.kind::tf32.", "tf32", "tf32", "binary32", 8, 8));
  // every pair of the formats that may meet
  const std::string_view narrow[] = {"e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1"};
  for (const std::string_view a : narrow)
    for (const std::string_view b : narrow) {
      const bool is_tested = (is_fp8(a) || a == "e2m1") && (is_fp8(b) || b == "e2m1");
      for (const std::string_view accumulator : {"binary32", "binary16"}) {
        all.push_back(truncated(kBlackwell, "tcgen05", "tcgen05.mma.kind::f8f6f4.", a, b, accumulator, 32, 32));
        all.push_back(truncated(kRtxBlackwell, "mma", "mma.sync.kind::f8f6f4.m16n8", a, b, accumulator, 32, 32));
        if (!is_tested) all[all.size() - 1].evidence = all[all.size() - 2].evidence = Evidence::Unverified;
      }
      all.push_back(scaled(kBlackwell, "mxf8f6f4", a, b, "e8m0", 32));
      if (!is_tested) all.back().evidence = Evidence::Unverified;
    }
  all.push_back(scaled(kBlackwell, "mxf4", "e2m1", "e2m1", "e8m0", 32));
  all.push_back(scaled(kBlackwell, "mxf4nvf4", "e2m1", "e2m1", "e8m0", 32));
  all.push_back(scaled(kBlackwell, "mxf4nvf4", "e2m1", "e2m1", "e8m0", 16));
  all.push_back(scaled(kBlackwell, "mxf4nvf4", "e2m1", "e2m1", "ue4m3", 16));
  for (const int k : {4, 8, 16}) {
    all.push_back(binary64_chain(k == 4 ? "" : fmt::format(".k{}", k), k == 4 ? 8 : 16, k, Rounding::TiesToEven));
    all.back().source = kMmaSim;
  }
  for (const auto& [modifier, rounding] :
       {std::pair{".rz", Rounding::TowardZero}, {".rm", Rounding::TowardNegative}, {".rp", Rounding::TowardPositive}}) {
    all.push_back(binary64_chain(modifier, 8, 4, rounding));
    all.back().evidence = Evidence::Specified;
    all.back().source = "PTX ISA, modifiers of mma";
  }
  for (const bool saturates : {false, true})
    for (const std::string_view bits : {"8", "4"})
      for (const std::string_view a : {"int", "uint"})
        for (const std::string_view b : {"int", "uint"}) {
          const bool is_byte = bits == "8";
          const std::string_view a_format = is_byte ? (a == "int" ? "int8" : "uint8") : (a == "int" ? "int4" : "uint4"),
                                 b_format = is_byte ? (b == "int" ? "int8" : "uint8") : (b == "int" ? "int4" : "uint4");
          const int usual = is_byte ? 32 : 64;
          for (const int k : {usual, usual / 2})
            all.push_back(whole(
                unit_name("ampere", "mma", a_format, b_format, "int32", "int32", k, usual), "NVIDIA Ampere and later",
                fmt::format("mma.sync.m16n8k{}.s32.{}.{}", k, short_name(a_format), short_name(b_format)), a_format,
                b_format, k, saturates, saturates ? Evidence::Unverified : Evidence::Specified, kPtx));
        }
  for (const auto operation : {DotOperation::XorPopcount, DotOperation::AndPopcount}) {
    const std::string_view text = operation == DotOperation::XorPopcount ? "xor" : "and";
    for (const int k : {256, 128}) {
      MatrixUnit unit = whole(fmt::format("ampere.mma.b1.{}{}", text, k == 256 ? "" : ".k128"),
                              "NVIDIA Ampere and later", fmt::format("mma.sync.m16n8k{}.s32.b1.b1.{}.popc", k, text),
                              "bit", "bit", k, false, Evidence::Unverified, "from memory of PTX");
      unit.operation = operation;
      all.push_back(unit);
    }
  }
}

void flush(MatrixUnit& unit) { unit.flushes_operands = unit.flushes_accumulator = unit.flushes_results = true; }

// A unit of AMD whose accumulator is binary32.
MatrixUnit mfma(std::string_view generation, std::string_view architecture, std::string_view a, std::string_view b,
                int k, DotOperation operation, int block, std::string_view source) {
  MatrixUnit unit{.name = unit_name(generation, "mfma", a, b, "binary32", "binary32", k, k),
                  .architecture = architecture,
                  .instruction = fmt::format("v_mfma_f32_…x{}_{}", k, short_name(a)),
                  .a = a,
                  .b = b,
                  .accumulator = "binary32",
                  .k = k,
                  .operation = operation,
                  .block = block};
  unit.source = source;
  if (operation == DotOperation::FlushedPairs) flush(unit);
  if (operation == DotOperation::TruncateThenFloor || operation == DotOperation::SplitThenFloor) {
    unit.fraction = 24;
    unit.sum_fraction = 31;
  }
  return unit;
}

void add_amd(std::vector<MatrixUnit>& all) {
  using enum DotOperation;
  constexpr std::string_view kOne = "AMD CDNA1 (MI100)", kTwo = "AMD CDNA2 (MI200)", kThree = "AMD CDNA3 (MI300)";
  all.push_back(mfma("cdna1", kOne, "binary16", "binary16", 16, ExactFused, 4, kNewMmaSim));
  all.push_back(mfma("cdna1", kOne, "bfloat16", "bfloat16", 8, ExactFused, 2, kNewMmaSim));
  all.push_back(mfma("cdna2", kTwo, "binary16", "binary16", 16, FlushedPairs, 4, kNewMmaSim));
  all.push_back(mfma("cdna2", kTwo, "bfloat16", "bfloat16", 16, FlushedPairs, 4, kNewMmaSim));
  all.back().name += "_1k";
  all.push_back(mfma("cdna2", kTwo, "bfloat16", "bfloat16", 8, FlushedPairs, 2, kNewMmaSim));
  all.push_back(mfma("cdna3", kThree, "binary16", "binary16", 16, TruncateThenFloor, 8, kNewMmaSim));
  all.push_back(mfma("cdna3", kThree, "bfloat16", "bfloat16", 16, TruncateThenFloor, 8, kNewMmaSim));
  all.push_back(mfma("cdna3", kThree, "tf32", "tf32", 8, TruncateThenFloor, 4, kNewMmaSim));
  for (const std::string_view a : {"e4m3fnuz", "e5m2fnuz"})
    for (const std::string_view b : {"e4m3fnuz", "e5m2fnuz"})
      all.push_back(mfma("cdna3", kThree, a, b, 32, SplitThenFloor, 16, kNewMmaSim));
  all.push_back(mfma("cdna", "AMD CDNA1 to CDNA3", "binary32", "binary32", 4, FmaChain, 1, kMmaSim));
  all.push_back(mfma("cdna", "AMD CDNA2, CDNA3", "binary64", "binary64", 4, FmaChain, 1, kMmaSim));
  all.back().accumulator = "binary64";
  all.back().instruction = "v_mfma_f64_…x4_f64";
  // what later versions of the model changed, or no version says
  for (MatrixUnit& unit : all)
    if (unit.operation == TruncateThenFloor || unit.operation == SplitThenFloor) unit.evidence = Evidence::Unverified;
}

void add_processors(std::vector<MatrixUnit>& all) {
  const auto add = [&](std::string name, std::string_view architecture, std::string instruction, std::string_view a,
                       std::string_view b, std::string_view accumulator, int k, DotOperation operation, int block,
                       Evidence evidence, std::string_view source) -> MatrixUnit& {
    MatrixUnit unit{.name = std::move(name),
                    .architecture = architecture,
                    .instruction = std::move(instruction),
                    .a = a,
                    .b = b,
                    .accumulator = accumulator,
                    .k = k,
                    .operation = operation,
                    .block = block};
    unit.evidence = evidence;
    unit.source = source;
    all.push_back(unit);
    return all.back();
  };
  using enum DotOperation;
  constexpr std::string_view kAmx = "Intel AMX", kAvx = "x86 AVX-512", kNeon = "Arm";
  flush(add("x86.vdpbf16ps", kAvx, "VDPBF16PS", "bfloat16", "bfloat16", "binary32", 2, OddFirstChain, 2,
            Evidence::Verified, "Intel SDM; captured on an AMD EPYC"));
  flush(add("x86.tdpbf16ps", kAmx, "TDPBF16PS", "bfloat16", "bfloat16", "binary32", 32, TwoChains, 32,
            Evidence::Specified, kSdm));
  MatrixUnit& half = add("x86.tdpfp16ps", kAmx, "TDPFP16PS", "binary16", "binary16", "binary32", 32, TwoChains, 32,
                         Evidence::Specified, kSdm);
  half.flushes_accumulator = half.flushes_results = true;
  flush(add("x86.tmmultf32ps", kAmx, "TMMULTF32PS", "tf32", "tf32", "binary32", 16, FmaChain, 1, Evidence::ReadInSource,
            "gcc.target/i386/amxtf32-mmultf32ps-2.c"));
  all.push_back(whole("x86.vpdpbusd", kAvx, "VPDPBUSD", "uint8", "int8", 4, false, Evidence::Verified,
                      "captured on an AMD EPYC"));
  all.push_back(whole("x86.tdpbssd", kAmx, "TDPBSSD", "int8", "int8", 64, false, Evidence::Unverified, "from memory"));
  MatrixUnit& odd = add("arm.bfdot", kNeon, "BFDOT, FPCR.EBF = 0", "bfloat16", "bfloat16", "binary32", 2, UnfusedPairs,
                        2, Evidence::Specified, kArm);
  odd.rounding = Rounding::ToOdd;
  flush(odd);
  add("arm.bfdot.ebf", kNeon, "BFDOT, FPCR.EBF = 1", "bfloat16", "bfloat16", "binary32", 2, FusedPairs, 2,
      Evidence::Specified, kArm);
  MatrixUnit& matrix = add("arm.bfmmla", kNeon, "BFMMLA, FPCR.EBF = 0", "bfloat16", "bfloat16", "binary32", 4,
                           UnfusedPairs, 2, Evidence::Specified, kArm);
  matrix.rounding = Rounding::ToOdd;
  flush(matrix);
  for (const std::string_view a : {"e4m3fn", "e5m2"}) {
    add(fmt::format("arm.fdot.{}", short_name(a)), kNeon, "FDOT, 4-way", a, a, "binary32", 4, ExactFused, 4,
        Evidence::Specified, kArm);
    add(fmt::format("arm.fdot.{}.f16", short_name(a)), kNeon, "FDOT, 2-way", a, a, "binary16", 2, ExactFused, 2,
        Evidence::Specified, kArm);
  }
}

// Captured outputs of the hardware and the units that they replay through: "GPU_FORMAT OUTPUT" as packs spell it, or
// the name of a file of tests/fixtures. Packs hold numbers near N(0, 1): no subnormals, no NaN, no infinity. Those of
// wgmma have c = 0.
constexpr std::pair<std::string_view, std::string_view> kFixtures[] = {
    {"volta.mma.f16", "V100_fp16 fp32"},
    {"volta.mma.f16.f16", "V100_fp16 fp16"},
    {"ampere.mma.f16.k8", "A100_fp16 fp32"},
    {"ampere.mma.f16.f16.k8", "A100_fp16 fp16"},
    {"ampere.mma.bf16.k8", "A100_bf16 fp32"},
    {"ampere.mma.tf32.k4", "A100_tf32 fp32"},
    {"ada.mma.f16.k8", "Ada_fp16 fp32"},
    {"ada.mma.f16.f16.k8", "Ada_fp16 fp16"},
    {"ada.mma.bf16.k8", "Ada_bf16 fp32"},
    {"ada.mma.tf32.k4", "Ada_tf32 fp32"},
    {"ada.mma.e4m3", "Ada_E4M3 fp32"},
    {"ada.mma.e4m3.f16", "Ada_E4M3 fp16"},
    {"ada.mma.e5m2", "Ada_E5M2 fp32"},
    {"ada.mma.e5m2.f16", "Ada_E5M2 fp16"},
    {"hopper.mma.f16", "H100_fp16 fp32"},
    {"hopper.mma.f16.f16", "H100_fp16 fp16"},
    {"hopper.mma.bf16", "H100_bf16 fp32"},
    {"hopper.mma.tf32.k4", "H100_tf32 fp32"},
    {"hopper.wgmma.e4m3", "H100_E4M3 fp32"},
    {"hopper.mma.e4m3", "H100_E4M3 fp32_mmasync"},
    {"hopper.mma.e4m3.f16", "H100_E4M3 fp16"},
    {"hopper.wgmma.e5m2", "H100_E5M2 fp32"},
    {"hopper.mma.e5m2", "H100_E5M2 fp32_mmasync"},
    {"hopper.mma.e5m2.f16", "H100_E5M2 fp16"},
    {"x86.vdpbf16ps", "x86_vdpbf16ps.epyc"},
    {"x86.vpdpbusd", "x86_vpdpbusd.epyc"},
};

void add_fixtures(std::vector<MatrixUnit>& all) {
  for (const auto& [name, fixture] : kFixtures) {
    MatrixUnit& unit = *std::ranges::find(all, name, &MatrixUnit::name);
    unit.evidence = Evidence::Hardware;
    unit.fixtures.push_back(fixture);
    if (unit.name.find(".wgmma.") != std::string::npos) unit.source = "microsoft/MMA-Sim c785138; captured with c = 0";
  }
}

std::vector<MatrixUnit> make_units() {
  std::vector<MatrixUnit> all;
  add_nvidia(all);
  add_amd(all);
  add_processors(all);
  add_fixtures(all);
  return all;
}

}  // namespace

std::span<const MatrixUnit> matrix_units() {
  static const std::vector<MatrixUnit> units = make_units();
  return units;
}

const MatrixUnit& find_matrix_unit(std::string_view name) {
  const auto unit = std::ranges::find(matrix_units(), name, &MatrixUnit::name);
  if (unit != matrix_units().end()) return *unit;
  std::vector<std::string_view> names;
  for (const MatrixUnit& each : matrix_units()) names.push_back(each.name);
  throw UnknownName("matrix unit", name, names);
}

}  // namespace halfulp
