// How particular implementations cast: each profile is a few rows of a table.
//
// A row holds for one profile and some formats: the rounding and the policies with which formats/codec.h gives the
// implementation's codes, what lies outside of those, and how well that is known. Rows speak of casts of one number;
// scales of blocks are formats/block.h's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/codec.h"
#include "formats/format.h"
#include "formats/rounding.h"

namespace halfulp {

/// A definition or an implementation; what differs by an option has a name of its own.
enum class Profile {
  Ocp,
  Cuda,
  CudaNosat,
  MlDtypes,
  MlDtypesSaturate,
  Torch211,
  Torch213,
  Cutlass,
  CutlassDevice,
  Hip,
  HipNosat,
  Universal,
  Gfloat,
  GfloatSaturate,
  Cpfloat,
  CpfloatSaturate,
  Qpytorch,
  Apfloat,
  OnnxSaturate,
  OnnxNosat,
  Onednn,
  Riscv,
  RiscvNosat,
  P3109SatNone,
  P3109SatFinite,
  P3109SatPropagate,
  Triton,
  TritonSm89,
  Microxcaling,
  Torchao,
  Te,
  TePython,
  Fouroversix,
  Fpy,
};

/// What the number that is cast was stored in; some implementations depend on it.
enum class Source { Binary32, Binary64 };

/// Numbers for which an implementation has no code of the format: it raises, keeps a number outside, or is not defined.
struct Refusals {
  bool nan = false;
  bool infinity = false;
  bool overflow = false;  // beyond the largest number and neither saturated nor kept there by a directed rounding
  bool negative = false;  // finite, where codes have no sign
  bool tiny = false;      // zero, or rounded below the smallest number, where there is no zero
};

struct ProfileRow {
  Profile profile;
  std::string_view formats;           // names with a space between them; "*": every one
  std::optional<Source> source = {};  // that the row holds for; otherwise any
  Rounding rounding = Rounding::TiesToEven;
  Policies policies = {};
  Evidence evidence;
  Refusals refuses = {};
  Format (*takes_for)(const Format&) = nullptr;  // the format that it takes the named one for
  std::string_view by_way_of = "";               // a format that it truncates to first
  /// What no policy says: the code in place of `code`.
  uint32_t (*exception)(const Format& format, const Real& x, uint32_t code) = nullptr;
};

/// In the order of Profile; of the rows that hold for a cast the first one counts.
std::span<const ProfileRow> profile_rows();

/// The names of the formats that a profile knows, a space between them; "*": every one.
std::string known_formats(Profile profile);

/// A profile's cast to one format. The projection may be changed before use.
struct ProfileCast {
  const ProfileRow* row;
  Format format;  // of the codes
  Projection projection;

  /// Whether the projection says all: then Caster gives the codes too.
  bool is_plain() const;
  /// Nothing where the implementation has no code.
  std::optional<uint32_t> encode(const Real& x, uint32_t random = 0) const;
};

/// Nothing where the profile does not know the format.
std::optional<ProfileCast> find_cast(Profile profile, const Format& format, Source source);

/// The same, but throws std::invalid_argument with the formats that the profile knows.
ProfileCast profile_cast(Profile profile, const Format& format, Source source);

/// The policies of a profile's first row: those for most of its formats.
Policies policies(Profile profile, Source source);

/// The number a profile reads a code as. Bit shifts in place of arithmetic make zero of the e8m0 code 0.
double decode(Profile profile, const Format& format, uint32_t code);

template <>
struct EnumNames<Profile> {
  static constexpr std::string_view kind = "profile";
  static constexpr NamedValue<Profile> values[] = {{Profile::Ocp, "ocp"},
                                                   {Profile::Cuda, "cuda"},
                                                   {Profile::CudaNosat, "cuda_nosat"},
                                                   {Profile::MlDtypes, "ml_dtypes"},
                                                   {Profile::MlDtypesSaturate, "ml_dtypes_saturate"},
                                                   {Profile::Torch211, "torch_2_11"},
                                                   {Profile::Torch213, "torch_2_13"},
                                                   {Profile::Cutlass, "cutlass"},
                                                   {Profile::CutlassDevice, "cutlass_device"},
                                                   {Profile::Hip, "hip"},
                                                   {Profile::HipNosat, "hip_nosat"},
                                                   {Profile::Universal, "universal"},
                                                   {Profile::Gfloat, "gfloat"},
                                                   {Profile::GfloatSaturate, "gfloat_saturate"},
                                                   {Profile::Cpfloat, "cpfloat"},
                                                   {Profile::CpfloatSaturate, "cpfloat_saturate"},
                                                   {Profile::Qpytorch, "qpytorch"},
                                                   {Profile::Apfloat, "apfloat"},
                                                   {Profile::OnnxSaturate, "onnx_saturate"},
                                                   {Profile::OnnxNosat, "onnx_nosat"},
                                                   {Profile::Onednn, "onednn"},
                                                   {Profile::Riscv, "riscv"},
                                                   {Profile::RiscvNosat, "riscv_nosat"},
                                                   {Profile::P3109SatNone, "p3109_sat_none"},
                                                   {Profile::P3109SatFinite, "p3109_sat_finite"},
                                                   {Profile::P3109SatPropagate, "p3109_sat_propagate"},
                                                   {Profile::Triton, "triton"},
                                                   {Profile::TritonSm89, "triton_sm89"},
                                                   {Profile::Microxcaling, "microxcaling"},
                                                   {Profile::Torchao, "torchao"},
                                                   {Profile::Te, "te"},
                                                   {Profile::TePython, "te_python"},
                                                   {Profile::Fouroversix, "fouroversix"},
                                                   {Profile::Fpy, "fpy"}};
};
template <>
struct EnumNames<Source> {
  static constexpr std::string_view kind = "source";
  static constexpr NamedValue<Source> values[] = {{Source::Binary32, "f32"}, {Source::Binary64, "f64"}};
};

}  // namespace halfulp
