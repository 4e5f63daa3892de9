#!/usr/bin/env python3
"""Reads files of `halfulp vectors` as another project would, and checks every row.

Standard library only, and nothing of halfulp: the parameters on a file's first line define the format, exact fractions
do the arithmetic, and what is not in the file is taken from the published definitions. Prints "FILE: N rows" for
each file; the first row that is wrong, or a case that a complete file lacks, ends the program with exit code 1.

    read_vectors.py FILE ...
"""

import bisect
import functools
import math
import shlex
import struct
import sys
from fractions import Fraction

F32_INFINITY = 0x7F800000
F32_SIGN = 0x80000000


class Wrong(Exception):
    pass


def expect(condition, *words):
    if not condition:
        raise Wrong(" ".join(str(word) for word in words))


def f32(bits):
    return struct.unpack(">f", struct.pack(">I", bits))[0]


def f32_bits(x):
    return struct.unpack(">I", struct.pack(">f", x))[0]


@functools.lru_cache(maxsize=None)
def power(exponent):
    return Fraction(2) ** exponent


def floor_log2(x):
    """Of a fraction above zero."""
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if power(guess) <= x else guess - 1


class Format:
    """A format from the facts on a first line, all of whose keys may begin with `prefix`."""

    def __init__(self, facts, prefix=""):
        def fact(name):
            return facts[prefix + name]

        self.name = fact("name")
        self.encoding = fact("encoding")
        self.exponent_bits = int(fact("exponent_bits"))
        self.mantissa_bits = int(fact("mantissa_bits"))
        self.bias = int(fact("bias"))
        self.nan = fact("nan")
        self.has_infinity = fact("infinity") == "yes"
        self.has_zero = fact("zero") == "yes"
        self.narrow = fact("narrow") == "yes"
        self.signed = self.encoding != "unsigned"
        self.magnitude_bits = self.exponent_bits + self.mantissa_bits
        self.bits = self.magnitude_bits + self.signed
        self.has_negative_zero = self.encoding == "sign_magnitude" and self.nan != "negative_zero"
        expect(self.bits == int(fact("bits")), "bits", self.bits)
        expect(not self.has_zero or self.exponent_bits == 0 or fact("subnormals") == "yes", "no subnormals")
        # what follows the largest number is a boundary too
        self.ladders = [[self.magnitude(i) for i in range(self.last(sign) + 2)] for sign in (False, True)]
        self.largest = self.ladders[False][-2]
        expect(self.largest == Fraction(float(fact("max_finite"))), "max_finite", self.largest)

    def magnitude(self, index):
        unit = 1 << self.mantissa_bits
        if not self.has_zero:
            return (unit + index % unit) * power(index // unit - self.bias - self.mantissa_bits)
        field = index // unit if self.exponent_bits > 0 else 0
        if field == 0:
            return index * power(1 - self.bias - self.mantissa_bits)
        return (unit + index % unit) * power(field - self.bias - self.mantissa_bits)

    def last(self, negative):
        """Of the numbers of one sign, counted from the smallest magnitude."""
        top = (1 << self.magnitude_bits) - 1
        if self.encoding == "twos_complement":
            return top + (negative and not self.narrow)
        if self.nan == "ieee":
            return ((((1 << self.exponent_bits) - 1) << self.mantissa_bits)) - 1
        return top - (self.nan == "top") - self.has_infinity

    def code(self, negative, index):
        if self.encoding == "twos_complement":
            return (-index if negative else index) % (1 << self.bits)
        return index | (1 << self.magnitude_bits if negative else 0)

    def decode(self, code):
        """A fraction and its sign, or one of the words inf, -inf, nan."""
        if self.encoding == "twos_complement":
            index = code if code >> self.magnitude_bits == 0 else (1 << self.bits) - code
            return self.magnitude(index), code >> self.magnitude_bits == 1
        negative, index = bool(code >> self.magnitude_bits), code & ((1 << self.magnitude_bits) - 1)
        if self.nan == "negative_zero" and negative and index == 0:
            return "nan"
        if index <= self.last(negative):
            return self.magnitude(index), negative
        if self.has_infinity and index == self.last(negative) + 1:
            return "-inf" if negative else "inf"
        return "nan"

    def class_of(self, code):
        value = self.decode(code)
        if isinstance(value, str):
            return "nan" if value == "nan" else "infinity"
        if value[0] == 0:
            return "zero"
        return "normal" if value[0] >= power(1 - self.bias) or self.exponent_bits == 0 or not self.has_zero else "subnormal"


def same_value(text, value):
    """Whether a hexadecimal number of a file is what a code decodes to."""
    read = float.fromhex(text)
    if isinstance(value, str):
        return math.isnan(read) if value == "nan" else read == float(value)
    magnitude, negative = value
    return math.isfinite(read) and abs(Fraction(read)) == magnitude and math.copysign(1, read) == (-1 if negative else 1)


def rounds_up(rounding, nu, index, negative, n, random):
    even = index % 2 == 0
    half = Fraction(1, 2)
    nearest = {"ties_to_even": not even, "ties_to_odd": even, "ties_to_away": True, "ties_to_zero": False,
               "ties_toward_positive": not negative, "ties_toward_negative": negative}
    if rounding in nearest:
        return nu > half or (nu == half and nearest[rounding])
    directed = {"toward_zero": False, "away_from_zero": True, "toward_positive": not negative,
                "toward_negative": negative, "to_odd": even, "to_even": not even}
    if rounding in directed:
        return nu > 0 and directed[rounding]
    scaled = nu * 2**n
    if rounding == "stochastic_a":
        return math.floor(scaled) + random >= 2**n
    if rounding == "stochastic_b":
        return math.floor(2 * scaled) + 2 * random + 1 >= 2 ** (n + 1)
    if rounding == "stochastic_c":
        return round(scaled) + random >= 2**n  # Python rounds ties to even
    if rounding == "stochastic_equal":
        return nu > 0 and random >= 2 ** (n - 1)
    raise Wrong("rounding " + rounding)


def infinite_code(format, negative):
    if format.has_infinity:
        return format.code(negative, format.last(negative) + 1)
    if format.nan == "none":
        return format.code(negative, format.last(negative))
    if format.nan == "negative_zero":
        return 1 << format.magnitude_bits
    return format.code(negative, (1 << format.magnitude_bits) - 1)


def nan_code(format, policy, negative, payload):
    """`payload` has the 23 bits of binary32's."""
    keeps_sign = policy in ("keep_sign", "payload")
    if format.nan == "none":
        return format.code(False, format.last(False))
    if format.nan == "negative_zero":
        return 1 << format.magnitude_bits
    if format.nan == "top" or policy == "all_ones":
        return format.code(negative and keeps_sign, (1 << format.magnitude_bits) - 1)
    quiet = (format.last(False) + 1) | 1 << (format.mantissa_bits - 1)
    if policy == "payload":
        quiet |= payload >> (23 - format.mantissa_bits)
    return format.code(negative and keeps_sign, quiet)


def encode_fraction(format, how, magnitude, negative, random=0):
    """The code of a number above zero."""
    ladder = format.ladders[negative]
    low = bisect.bisect_right(ladder, magnitude) - 1
    last = format.last(negative)
    if low < 0:  # below the smallest number of a format without zero
        index = 0
    elif low > last:
        index = low
    else:
        nu = (magnitude - ladder[low]) / (ladder[low + 1] - ladder[low])
        index = low + rounds_up(how["rounding"], nu, low, negative, int(how.get("random_bits", 0)), random)
    if index == 0 and format.has_zero:
        return format.code(negative and format.has_negative_zero and how["zero_policy"] == "keep_sign", 0)
    if index <= last:
        return format.code(negative, index)
    finite_modes = ["toward_zero", "toward_positive" if negative else "toward_negative"]
    if how["overflow_policy"] == "to_infinity" and how["rounding"] not in finite_modes:
        return infinite_code(format, negative)
    return format.code(negative, last)


def encode_f32(format, how, bits, random=0):
    negative, rest = bool(bits & F32_SIGN), bits & ~F32_SIGN
    if rest > F32_INFINITY:
        return nan_code(format, how["nan_policy"], negative, rest & 0x7FFFFF)
    if negative and not format.signed:
        if how["negative_policy"] == "to_zero":
            rest = 0
        elif how["negative_policy"] == "to_nan" and rest != 0:
            return nan_code(format, how["nan_policy"], False, 0)
        negative = False
    if rest == F32_INFINITY:
        if how["overflow_policy"] == "saturate":
            return format.code(negative, format.last(negative))
        return infinite_code(format, negative)
    if rest == 0:
        return format.code(negative and format.has_negative_zero and how["zero_policy"] == "keep_sign", 0)
    return encode_fraction(format, how, Fraction(f32(rest)), negative, random)


def expect_changes_side_by_side(what, cases):
    """Every change of the code is shown at two neighbours of binary32. Cases are bits and code in order of the bits."""
    for (low, before), (high, after) in zip(cases, cases[1:]):
        alike = before == after or high & ~F32_SIGN == 0 or high & ~F32_SIGN > F32_INFINITY
        expect(alike or high == low + 1, what, f"has a change of code from {low:08x} to {high:08x}, not side by side")


def check_decode(facts, columns, rows):
    format = Format(facts)
    expect(columns == ["code", "value", "class"], columns)
    codes = []
    for code_text, value, kind in rows:
        code = int(code_text, 16)
        codes.append(code)
        expect(same_value(value, format.decode(code)), code_text, value, "is", format.decode(code))
        expect(kind == format.class_of(code), code_text, kind)
    expect(codes == list(range(1 << format.bits)) or facts.get("limit"), "codes are missing")


def wanted_inputs(format):
    """Numbers, middles, what follows the largest, each with its neighbours, where binary32 has them; and specials."""
    magnitudes = []
    for ladder in format.ladders:
        magnitudes += ladder + [(a + b) / 2 for a, b in zip(ladder, ladder[1:])] + [ladder[0] / 2]
    wanted = {0, 1, F32_INFINITY - 1, F32_INFINITY, 0x7F800001, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF}
    for magnitude in magnitudes:
        if magnitude == 0 or magnitude >= power(128) or Fraction(f32(f32_bits(float(magnitude)))) != magnitude:
            continue
        bits = f32_bits(float(magnitude))
        wanted.update((bits - 1, bits, bits + 1))
    return wanted | {bits | F32_SIGN for bits in wanted}


def check_cast(facts, columns, rows):
    format = Format(facts)
    stochastic = facts["rounding"].startswith("stochastic")
    expect(columns == ["input", "f32"] + ["random"] * stochastic + ["code", "value"], columns)
    seen, order = {}, []
    for row in rows:
        number, bits_text, code_text, value = row[0], row[1], row[-2], row[-1]
        bits, code, random = int(bits_text, 16), int(code_text, 16), int(row[2]) if stochastic else 0
        read = float.fromhex(number)
        expect(math.isnan(read) if bits & ~F32_SIGN > F32_INFINITY else f32_bits(read) == bits, row, "input is not f32")
        want = encode_f32(format, facts, bits, random)
        expect(code == want, row, "code should be", format_code(format, want))
        expect(same_value(value, format.decode(code)), row, "value is", format.decode(code))
        seen.setdefault(random, []).append((bits, code))
        order.append((random, bits))
    expect(order == sorted(set(order)), "rows are out of order")
    if facts.get("limit"):
        return
    for random, cases in seen.items():
        expect_changes_side_by_side(f"random {random}", cases)
        missing = wanted_inputs(format) - {bits for bits, _ in cases}
        expect(not missing, "random", random, "lacks inputs", sorted(f"{bits:08x}" for bits in missing)[:5])
    if stochastic:
        n = int(facts["random_bits"])
        expect({0, 2 ** (n - 1) - 1, 2 ** (n - 1), 2**n - 1} <= seen.keys(), "random numbers", sorted(seen))


def format_code(format, code):
    return f"{code:0{(format.bits + 3) // 4}x}"


POWER_RULES = {"floor", "ceil", "even", "rceil", "round_down", "near_log", "nearest", "nearest_code"}
TRITON_RULES = {"triton_up", "triton_down"}
NEAREST = {"rounding": "ties_to_even", "overflow_policy": "saturate", "zero_policy": "keep_sign"}


def power_rule_exponent(rule, element, amax):
    e_max = floor_log2(element.largest)
    exponent = floor_log2(amax)
    if rule == "floor":
        return exponent - e_max
    if rule == "ceil":
        return exponent + (amax > power(exponent)) - e_max
    if rule == "even":
        fraction_bits = element.mantissa_bits - (element.exponent_bits == 0)
        kept = math.floor(amax / power(exponent - fraction_bits) + Fraction(1, 2))
        return floor_log2(kept * power(exponent - fraction_bits)) - e_max
    if rule == "rceil":
        ratio = amax / element.largest
        return floor_log2(ratio) + (ratio > power(floor_log2(ratio)))
    ratio = amax / element.largest
    below = floor_log2(ratio)
    if rule == "round_down":
        return below
    if rule == "near_log":
        return below + (ratio**2 >= power(2 * below + 1))
    if rule == "nearest":
        return below + (2 * ratio >= 3 * power(below))
    raise Wrong("scale rule " + rule)


def triton_code(rule, element, amax):
    """From the bits of the binary32 quotient."""
    bits = f32_bits(float(Fraction(f32(amax)) / element.largest)) if amax < F32_INFINITY else amax
    return ((bits + 0x7FFFFF if rule == "triton_up" else bits) >> 23) & 0xFF


class Block:
    def __init__(self, facts):
        self.element, self.scale = Format(facts, "element."), Format(facts, "scale.")
        self.rows, self.cols = int(facts["rows"]), int(facts["cols"])
        self.has_tensor_scale = facts["tensor_scale"] == "yes"

    def scale_code(self, rule, amax, array_amax):
        """Magnitudes as bits of binary32."""
        if rule in TRITON_RULES:
            return triton_code(rule, self.element, amax)
        if max(amax, array_amax if self.has_tensor_scale else 0) >= F32_INFINITY:
            return nan_code(self.scale, "canonical", False, 0)
        if amax == 0:
            return 0
        magnitude = Fraction(f32(amax))
        if self.scale.mantissa_bits == 0 and rule != "nearest_code":
            quotient = power(power_rule_exponent(rule, self.element, magnitude))
        elif self.has_tensor_scale:
            quotient = magnitude * self.scale.largest / Fraction(f32(array_amax))
        else:
            quotient = magnitude / self.element.largest
        return encode_fraction(self.scale, NEAREST, quotient, False)

    def exact_tensor_scale(self, array_amax):
        if not self.has_tensor_scale or array_amax == 0:
            return Fraction(1)
        return Fraction(f32(array_amax)) / (self.element.largest * self.scale.largest)


def check_scale(facts, columns, rows):
    block = Block(facts)
    expect(columns == "rule amax amax_f32 array_amax array_amax_f32 code value".split(), columns)
    codes = {}
    for row in rows:
        rule, amax_text, amax, array_text, array_amax, code, value = row
        bits, array_bits = int(amax, 16), int(array_amax, 16)
        for text, of in ((amax_text, bits), (array_text, array_bits)):
            read = float.fromhex(text)
            expect(math.isnan(read) if of > F32_INFINITY else f32_bits(read) == of, row)
        want = block.scale_code(rule, bits, array_bits)
        expect(int(code, 16) == want, row, "code should be", format_code(block.scale, want))
        expect(same_value(value, block.scale.decode(want)), row, "value is", block.scale.decode(want))
        codes.setdefault((rule, array_bits if block.has_tensor_scale else 0), []).append((bits, int(code, 16)))
    if facts.get("limit"):
        return
    for (rule, _), cases in codes.items():
        expect_changes_side_by_side(rule, cases)
    rules = {rule for rule, _ in codes}
    if block.scale.name == "e8m0":
        expect(rules == POWER_RULES | TRITON_RULES, rules)


def round_to_f32(magnitude):
    """A fraction above zero and in range to the nearest number of binary32, ties to even."""
    step = power(max(floor_log2(magnitude), -126) - 23)
    return round(magnitude / step) * step


def check_block(facts, columns, rows):
    block = Block(facts)
    stochastic = facts["rounding"].startswith("stochastic")
    expect(columns == ["case", "rows", "cols", "f32"] + ["random"] * stochastic
           + ["tensor_scale", "scales", "codes", "values"], columns)
    names = set()
    for row in rows:
        names.add(row[0])
        check_array(block, facts | NEAREST | {"rounding": facts["rounding"]}, row, stochastic)
    wanted = {"zeros", "one_nan", "one_infinity", "subnormal", "element_points", "largest"}
    expect(wanted <= names or facts.get("limit"), "cases", names)


def check_array(block, how, row, stochastic):
    name, height, width = row[0], int(row[1]), int(row[2])
    inputs = [int(text, 16) for text in row[3].split(",")]
    randoms = [int(text) for text in row[4].split(",")] if stochastic else [0] * len(inputs)
    tensor_scale, scales_text, codes_text, values_text = row[-4:]
    scales, codes = ([int(text, 16) for text in texts.split(",")] for texts in (scales_text, codes_text))
    values = values_text.split(",")
    expect(len(inputs) == len(codes) == len(values) == len(randoms) == height * width, name, "lengths")
    array_amax = max(bits & ~F32_SIGN for bits in inputs)
    rest = block.exact_tensor_scale(array_amax) if array_amax < F32_INFINITY else Fraction(1)
    if array_amax < F32_INFINITY or not block.has_tensor_scale:
        expect(Fraction(float.fromhex(tensor_scale)) == round_to_f32(rest), name, "tensor scale", tensor_scale)
    else:
        expect(math.isnan(float.fromhex(tensor_scale)), name, "tensor scale", tensor_scale)
    block_rows, block_cols = block.rows or height, block.cols or width
    at = 0
    for top in range(0, height, block_rows):
        for left in range(0, width, block_cols):
            places = [r * width + c for r in range(top, min(top + block_rows, height))
                      for c in range(left, min(left + block_cols, width))]
            amax = max(inputs[i] & ~F32_SIGN for i in places)
            want = block.scale_code(how["scale_rule"], amax, array_amax)
            expect(scales[at] == want, name, "scale", at, f"{scales[at]:x} should be {want:x}")
            check_elements(block, how, name, places, inputs, randoms, block.scale.decode(want), rest, codes, values)
            at += 1
    expect(at == len(scales), name, "number of scales", len(scales))


def check_elements(block, how, name, places, inputs, randoms, scale, rest, codes, values):
    element = block.element
    for i in places:
        if scale == "nan" or scale[0] == 0:
            want = 0
        elif inputs[i] & ~F32_SIGN == 0:
            want = element.code(bool(inputs[i]) and element.has_negative_zero, 0)
        else:
            number = Fraction(f32(inputs[i])) / (scale[0] * rest)
            want = encode_fraction(element, how, abs(number), number < 0, randoms[i])
        expect(codes[i] == want, name, "element", i, f"{codes[i]:x} should be {want:x}")
        magnitude, negative = element.decode(want)
        expect(same_value(values[i], scale if scale == "nan" else (magnitude * scale[0], negative)), name, i, values[i])


CHECKS = {"decode": check_decode, "cast": check_cast, "scale": check_scale, "block": check_block}


def check_file(path):
    with open(path, encoding="ascii") as file:
        lines = file.read().split("\n")
    expect(lines.pop() == "", "the last line does not end")
    mark, program, version, vectors, *facts = shlex.split(lines[0])
    expect((mark, program, vectors) == ("#", "halfulp", "vectors") and version[0].isdigit(), lines[0])
    facts = dict(fact.split("=", 1) for fact in facts)
    rows = [line.split(" ") for line in lines[2:]]
    columns = lines[1].split(" ")
    expect(rows and all(len(row) == len(columns) for row in rows), "rows do not fit the columns")
    CHECKS[facts["kind"]](facts, columns, rows)
    return len(rows)


def main():
    for path in sys.argv[1:]:
        try:
            print(f"{path}: {check_file(path)} rows")
        except Wrong as wrong:
            sys.exit(f"{path}: {wrong}")


if __name__ == "__main__":
    main()
