// Replay of PTX cvt.rs, the stochastically rounding conversion of sm_100a and sm_103a, and of the routine that stands
// in for it in software.
//
// Which random bits serve which operand, and how results are packed, follows the PTX ISA's text on cvt (section on
// .rs). What the text leaves open is data here, and all of it is unverified: it takes the hardware to tell.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/evidence.h"
#include "formats/format.h"
#include "formats/names.h"

namespace halfulp {

/// Where a conversion's random bits stand when it discards more bits than it has random ones.
enum class RandomAlignment {
  Highest,  // against the highest discarded bits; the rest of them has no say: stochastic_a
  Lowest,   // against the lowest discarded bits of the binary32 number
};

/// One destination type. Operands are counted in the instruction's order: a, b, e, f.
struct CvtRsForm {
  std::string_view name;
  std::string_view format;  // of an element
  int operands;
  int result_bits;                   // that an element takes in the result; the first operand's are the highest
  int random_bits;                   // of rbits that serve an operand
  std::array<int, 4> lowest_random;  // the lowest of them, for each operand
  bool always_saturates;             // the instruction has no form without .satfinite
  std::string_view source;
  Evidence evidence;
  std::string_view open;  // what the source does not say and hardware must
};

std::span<const CvtRsForm> cvt_rs_forms();

/// Throws UnknownName.
const CvtRsForm& find_cvt_rs_form(std::string_view name);

/// One instruction, prepared once.
class CvtRs {
 public:
  /// Throws std::invalid_argument where the form needs .satfinite.
  explicit CvtRs(const CvtRsForm& form, bool satfinite = true, RandomAlignment alignment = RandomAlignment::Highest);

  /// The destination register. One number per operand: a, b and, where the form has four, e, f.
  uint32_t operator()(std::span<const float> operands, uint32_t rbits) const;

  /// The code of operand number `operand`.
  uint32_t code(float x, int operand, uint32_t rbits) const;

  const CvtRsForm& form() const { return form_; }

 private:
  CvtRsForm form_;
  Format format_;
  bool satfinite_;
  RandomAlignment alignment_;
};

/// The e2m1 code that TransformerEngine's stochastic_round_fp4_e2m1 (at d0067d0) gives: |x| plus random_byte / 256 of
/// the step at |x|, added with one rounding to binary32, then floored. That rounding makes it differ from stochastic_a
/// with 8 bits: 2^-9 - 2^-33 with byte 255 gives 0.5. NaN gives 6, larger magnitudes saturate, signs are kept.
uint32_t te_stochastic_e2m1(float x, uint8_t random_byte);

/// Four of them as TransformerEngine packs them: element i takes byte i of rbits and nibble i of the result, which is
/// not how cvt.rs deals its bits out.
uint16_t te_stochastic_e2m1x4(std::span<const float, 4> x, uint32_t rbits);

template <>
struct EnumNames<RandomAlignment> {
  static constexpr std::string_view kind = "random alignment";
  static constexpr NamedValue<RandomAlignment> values[] = {{RandomAlignment::Highest, "highest"},
                                                           {RandomAlignment::Lowest, "lowest"}};
};

}  // namespace halfulp
