// Casting arrays of binary32 numbers: the fast form of formats/codec.h, equal to it for every input.
//
// The inner loops are chosen at run time for the machine (formats/isa.h) and give the same bits on each, whatever
// rounding direction, flushing of subnormals or traps the caller's control register asks for; it is as before
// afterwards. No function here keeps state; random bits are a function of a RandomSite and the element's index.
//
// Large arrays are split among `threads` (0: all cores); bits do not depend on it. Inside an OpenMP parallel region
// everything runs on the calling thread.
#pragma once

#include <cstdint>
#include <span>

#include "formats/encoder.h"
#include "formats/format.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp {

/// A cast from binary32 to `format`, prepared once and used on any number of arrays.
class Caster {
 public:
  /// Throws std::invalid_argument where the projection makes no sense: a stochastic mode without 1 … 32 random bits.
  Caster(const Format& format, const Projection& projection);

  /// y[i] = the number that x[i]'s code decodes to, as binary32; x and y may be the same array. The format must fit
  /// binary32 (fits_binary32). The random bits of element i are those of (site, first_index + i).
  void round(std::span<const float> x, std::span<float> y, const RandomSite& site = {}, uint32_t first_index = 0,
             int threads = 1) const;

  /// codes[i] = the code of x[i]. Code must hold the format's bits.
  template <class Code>
  void encode(std::span<const float> x, std::span<Code> codes, const RandomSite& site = {}, uint32_t first_index = 0,
              int threads = 1) const;

  /// The cast of one number, by the reference. Any `random` below 2^random_bits.
  uint32_t encode_reference(float x, uint32_t random = 0) const;

  const Format& format() const { return format_; }
  const Projection& projection() const { return projection_; }
  /// Null where only the reference knows the way: formats beyond binary32's range, E8M0, formats without subnormals,
  /// unsigned ones whose negative numbers become NaN or whose rounding is directed, and NaN payloads that are kept.
  const Encoder* encoder() const { return is_fast_ ? &encoder_ : nullptr; }

 private:
  Format format_;
  Projection projection_;
  bool is_fast_;
  Encoder encoder_ = {};
};

/// values[i] = the number of code codes[i], as binary32 (which the format must fit).
template <class Code>
void decode(const Format& format, std::span<const Code> codes, std::span<float> values, int threads = 1);

}  // namespace halfulp
