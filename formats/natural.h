// Natural numbers of any size, as the exact logarithms need them: few operations, each the schoolbook one. Internal to
// formats/.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace halfulp {

class Natural {
 public:
  Natural(uint64_t value = 0) : limbs_{value} { trim(); }
  bool is_zero() const { return limbs_.empty(); }
  int bit_length() const { return is_zero() ? 0 : int(64 * limbs_.size()) - std::countl_zero(limbs_.back()); }
  /// The lowest 64 bits.
  uint64_t low() const { return is_zero() ? 0 : limbs_[0]; }

  friend bool operator==(const Natural&, const Natural&) = default;
  friend bool operator<(const Natural& a, const Natural& b) {
    if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() < b.limbs_.size();
    return std::lexicographical_compare(a.limbs_.rbegin(), a.limbs_.rend(), b.limbs_.rbegin(), b.limbs_.rend());
  }

  friend Natural operator+(Natural a, const Natural& b) {
    a.limbs_.resize(std::max(a.limbs_.size(), b.limbs_.size()) + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < a.limbs_.size(); ++i) {
      const Uint128 sum = Uint128{a.limbs_[i]} + (i < b.limbs_.size() ? b.limbs_[i] : 0) + carry;
      a.limbs_[i] = uint64_t(sum);
      carry = uint64_t(sum >> 64);
    }
    a.trim();
    return a;
  }

  /// a - b, for b not above a.
  friend Natural operator-(Natural a, const Natural& b) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < a.limbs_.size(); ++i) {
      const Uint128 less = Uint128{i < b.limbs_.size() ? b.limbs_[i] : 0} + borrow;
      borrow = a.limbs_[i] < less;
      a.limbs_[i] = uint64_t(a.limbs_[i] - less);
    }
    a.trim();
    return a;
  }

  friend Natural operator*(const Natural& a, const Natural& b) {
    Natural product;
    product.limbs_.assign(a.limbs_.size() + b.limbs_.size(), 0);
    for (size_t i = 0; i < a.limbs_.size(); ++i) {
      uint64_t carry = 0;
      for (size_t j = 0; j < b.limbs_.size(); ++j) {
        const Uint128 sum = Uint128{a.limbs_[i]} * b.limbs_[j] + product.limbs_[i + j] + carry;
        product.limbs_[i + j] = uint64_t(sum);
        carry = uint64_t(sum >> 64);
      }
      product.limbs_[i + b.limbs_.size()] = carry;
    }
    product.trim();
    return product;
  }

  friend Natural operator<<(const Natural& a, int shift) {
    const size_t whole = size_t(shift) / 64;
    const int part = shift % 64;
    Natural result;
    result.limbs_.assign(a.limbs_.size() + whole + 1, 0);
    for (size_t i = 0; i < a.limbs_.size(); ++i) {
      result.limbs_[i + whole] |= a.limbs_[i] << part;
      if (part > 0) result.limbs_[i + whole + 1] = a.limbs_[i] >> (64 - part);
    }
    result.trim();
    return result;
  }

  friend Natural operator>>(const Natural& a, int shift) {
    const size_t whole = size_t(shift) / 64;
    const int part = shift % 64;
    Natural result;
    for (size_t i = whole; i < a.limbs_.size(); ++i) {
      const uint64_t above = part > 0 && i + 1 < a.limbs_.size() ? a.limbs_[i + 1] << (64 - part) : 0;
      result.limbs_.push_back(a.limbs_[i] >> part | above);
    }
    result.trim();
    return result;
  }

  /// floor(this · 2^power).
  Natural scaled(int power) const { return power >= 0 ? *this << power : *this >> -power; }

  /// floor(a / divisor).
  friend Natural operator/(Natural a, uint64_t divisor) {
    uint64_t rest = 0;
    for (size_t i = a.limbs_.size(); i-- > 0;) {
      const Uint128 dividend = Uint128{rest} << 64 | a.limbs_[i];
      a.limbs_[i] = uint64_t(dividend / divisor);
      rest = uint64_t(dividend % divisor);
    }
    a.trim();
    return a;
  }

  /// floor(a / b), some sixty bits at a time, none of them too high.
  friend Natural operator/(Natural a, const Natural& b) {
    Natural quotient;
    while (!(a < b)) {
      const Uint128 dividend = Uint128{a.top()} << 63;
      const Natural estimate = uint64_t(dividend / (Uint128{b.top()} + 1));
      Natural part = estimate.scaled(a.bit_length() - b.bit_length() - 63);
      if (part.is_zero()) part = 1;
      a = a - part * b;
      quotient = quotient + part;
    }
    return quotient;
  }

 private:
  __extension__ using Uint128 = unsigned __int128;

  // The highest 64 bits, from the highest that is set.
  uint64_t top() const { return scaled(64 - bit_length()).low(); }

  void trim() {
    while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  }

  std::vector<uint64_t> limbs_;  // from the lowest; none of zero
};

}  // namespace halfulp
