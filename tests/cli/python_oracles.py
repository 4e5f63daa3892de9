"""Holds the halfulp command against ml_dtypes and gfloat.

    python_oracles.py HALFULP PART

PART is the name of one of the functions of PARTS. Each prints what it compared; any difference that no row of EXPLAINED
names is printed and makes the exit code 1. Rows have the numbers of the table of known disagreements between references
that tests/formats/profile_test.cc spells out.
"""

import math
import subprocess
import sys
import warnings

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
from gfloat import RoundMode
from gfloat.types import Domain

HALFULP = sys.argv[1]
SEED = 20260917
RANDOM_FLOATS = 1 << 20

ML_DTYPES = {
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3,
    "e3m4": ml_dtypes.float8_e3m4,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e8m0": ml_dtypes.float8_e8m0fnu,
    "bfloat16": ml_dtypes.bfloat16,
    "int2": ml_dtypes.int2,
    "int4": ml_dtypes.int4,
}
BITS = {"e3m2": 6, "e2m3": 6, "e2m1": 4, "bfloat16": 16, "binary16": 16, "int2": 2, "int4": 4}

GFLOAT = {
    "e4m3fn": gfloat.formats.format_info_ocp_e4m3,
    "e5m2": gfloat.formats.format_info_ocp_e5m2,
    "e4m3fnuz": gfloat.formats.format_info_p3109(8, 4, domain=Domain.Finite),
    "e5m2fnuz": gfloat.formats.format_info_p3109(8, 3, domain=Domain.Finite),
    "e3m2": gfloat.formats.format_info_ocp_e3m2,
    "e2m3": gfloat.formats.format_info_ocp_e2m3,
    "e2m1": gfloat.formats.format_info_ocp_e2m1,
    "e8m0": gfloat.formats.format_info_ocp_e8m0,
    "s2f6": gfloat.formats.format_info_ocp_int8,
    "binary16": gfloat.formats.format_info_binary16,
    "bfloat16": gfloat.formats.format_info_bfloat16,
}
GFLOAT_ROUNDINGS = {
    "ties_to_even": RoundMode.TiesToEven,
    "ties_to_away": RoundMode.TiesToAway,
    "toward_zero": RoundMode.TowardZero,
    "toward_positive": RoundMode.TowardPositive,
    "toward_negative": RoundMode.TowardNegative,
}
GFLOAT_STOCHASTIC = {
    "stochastic_a": RoundMode.StochasticFastest,
    "stochastic_b": RoundMode.StochasticFast,
    "stochastic_c": RoundMode.Stochastic,
}


def is_e8m0_subnormal(x):
    return (np.abs(x) > 2.0**-127) & (np.abs(x) < 2.0**-126)


# Where the codes of profile ocp differ from ml_dtypes: row, what it is, formats, and which numbers.
EXPLAINED = [
    (8, "NaN keeps its sign", ("e4m3fn", "e5m2", "e4m3", "e3m4", "bfloat16"), lambda x: np.isnan(x) & np.signbit(x)),
    (10, "NaN without a code", ("e2m1",), np.isnan),
    (11, "NaN without a code", ("e3m2", "e2m3"), np.isnan),
    (12, "zero without a code", ("e8m0",), lambda x: x == 0),
    (13, "ties of e8m0 go up", ("e8m0",), lambda x: np.frexp(x)[0] == 0.75),
    (0, "subnormal floats go up to 2^-126 in e8m0", ("e8m0",), is_e8m0_subnormal),
]


# gfloat adds one half to nu in binary64, where 1/2 - 2^-54 then counts as a tie; floats are never that near to one.
def is_almost_a_tie(rounding, x):
    return rounding == "ties_to_away" and float(np.float32(x)) != x


def bits(name):
    return BITS.get(name, 8)


def code_type(name):
    return np.uint8 if bits(name) <= 8 else np.uint16


def run(arguments, data=b""):
    return subprocess.run([HALFULP, *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout


def cast(name, x, *arguments):
    source = "f32" if x.dtype == np.float32 else "f64"
    out = run(["cast", "--format", name, "--binary", "--from", source, *arguments], x.tobytes())
    return np.frombuffer(out, code_type(name))


def decode(name):
    codes = np.arange(1 << bits(name), dtype=code_type(name))
    out = run(["decode", "--format", name, "--binary", "--to", "f64"], codes.tobytes())
    return np.frombuffer(out, np.float64)


def same(x, y):
    """Equal bits, but for NaNs."""
    return (x.view(np.uint64) == y.view(np.uint64)) | (np.isnan(x) & np.isnan(y))


def midpoints(values, dtype):
    """The numbers of a format, the middles between them and those beyond its ends, with both neighbours each."""
    numbers = np.unique(values[np.isfinite(values)])
    step = np.diff(numbers)
    middles = numbers[:-1] + step / 2
    beyond = numbers[-1] + step[-1] * np.array([0.5, 1, 2])
    points = np.concatenate([numbers, middles, beyond, -numbers, -middles, -beyond]).astype(dtype)
    return np.concatenate([points, np.nextafter(points, dtype(np.inf)), np.nextafter(points, dtype(-np.inf))])


def specials():
    words = [0, 1, 0x400000, 0x400001, 0x600000, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F400000, 0x7F800000, 0x7FC00000]
    words += [0x7F800001, 0x7FFFFFFF, 0x7FD55555]
    return np.array(words + [0x80000000 | word for word in words], np.uint32).view(np.float32)


def inputs(values):
    every = np.arange(1 << 16, dtype=np.uint16)
    random = np.random.default_rng(SEED).integers(0, 1 << 32, RANDOM_FLOATS, dtype=np.uint32)
    with np.errstate(all="ignore"):
        return np.concatenate([
            every.view(np.float16).astype(np.float32),
            every.view(ml_dtypes.bfloat16).astype(np.float32),
            midpoints(values, np.float32),
            specials(),
            random.view(np.float32),
        ])


class Report:
    """Counts what was compared and shows the first differences."""

    def __init__(self):
        self.failed = False

    def add(self, what, inputs_, got, want, is_same, explained=""):
        wrong = np.flatnonzero(~is_same)
        print(f"{what}: {len(is_same)} compared, {len(wrong)} unexplained differences{explained}")
        for i in wrong[:5]:
            print(f"  {inputs_[i]!r}: halfulp {got[i]!r}, oracle {want[i]!r}")
        self.failed |= len(wrong) > 0


def ml_dtypes_codes(name, x):
    codes = x.astype(ML_DTYPES[name]).view(code_type(name))
    return codes & code_type(name)((1 << bits(name)) - 1)


def ml_dtypes_decode(report):
    for name, dtype in ML_DTYPES.items():
        codes = np.arange(1 << bits(name), dtype=code_type(name))
        want = codes.view(dtype).astype(np.float64)
        got = decode(name)
        report.add(f"{name}: decode", codes, got, want, same(got, want))


def ml_dtypes_profile(report):
    """The profile has every code of ml_dtypes."""
    for name in ML_DTYPES:
        x = inputs(decode(name))
        if name.startswith("int"):  # C leaves the conversion of larger numbers open
            x = x[~(np.abs(x) >= 2.0**31)]
        got, want = cast(name, x, "--profile", "ml_dtypes"), ml_dtypes_codes(name, x)
        report.add(f"{name}: profile ml_dtypes from f32", x, got, want, got == want)


def ml_dtypes_doubles(report):
    """Scalars are converted from double at once; arrays by way of float, so they are no oracle."""
    for name, dtype in ML_DTYPES.items():
        if name in ("bfloat16", "e8m0") or name.startswith("int"):
            continue  # these go by way of float as scalars too
        x = midpoints(decode(name), np.float64)
        got = cast(name, x, "--profile", "ml_dtypes")
        want = np.array([dtype(v) for v in x]).view(code_type(name))
        report.add(f"{name}: profile ml_dtypes from f64", x, got, want, got == want)


def ml_dtypes_explained(report):
    """All differences from the definition are known disagreements."""
    for name in ML_DTYPES:
        if name.startswith("int"):
            continue  # truncation and wrapping is what the profile is for
        x = inputs(decode(name))
        got, want = cast(name, x), ml_dtypes_codes(name, x)
        is_same, explained = got == want, ""
        for row, reason, formats, matches in EXPLAINED:
            if name in formats:
                here = ~is_same & matches(x)
                is_same = is_same | here
                explained += f"; {np.count_nonzero(here)} explained: {f'row {row}, ' if row else ''}{reason}"
        report.add(f"{name}: profile ocp from f32", x, got, want, is_same, explained)


def gfloat_code(info, x, rounding, saturates):
    """The code in gfloat, or None where it raises or leaves the numbers of the format."""
    try:
        value = gfloat.round_float(info, x, rounding, saturates)
        code = int(gfloat.encode_float(info, value))
    except ValueError:
        return None
    back = gfloat.decode_float(info, code).fval
    return code if back == value or (math.isnan(back) and math.isnan(value)) else None


def cast_words(name, x, *arguments):
    """Codes, None where there is none, of the text form."""
    words = "".join(f"{v.hex()}\n" for v in x)
    rows = run(["cast", "--csv", "--format", name, *arguments], words.encode()).decode().split("\n")[1:-1]
    return [int(code, 16) if code else None for code in (row.split(",")[1] for row in rows)]


def gfloat_decode(report):
    for name, info in GFLOAT.items():
        got = decode(name)
        want = np.array([gfloat.decode_float(info, code).fval for code in range(1 << bits(name))])
        report.add(f"{name}: decode", np.arange(len(got)), got, want, same(got, want))


def small_inputs(name, limit):
    every = np.concatenate([midpoints(decode(name), np.float64), midpoints(decode(name), np.float32), specials()])
    x = np.random.default_rng(SEED).permutation(np.unique(every.astype(np.float64)))[:limit]
    return [float(v) for v in x] + [-0.0, math.nan, math.inf, -math.inf, 1e300, -1e300]


def gfloat_profile(report):
    """Every rounding that both have; codes, and where gfloat has none."""
    for name, info in GFLOAT.items():
        x = small_inputs(name, 1200)
        for profile, saturates in (("gfloat", False), ("gfloat_saturate", True)):
            for rounding, mode in GFLOAT_ROUNDINGS.items():
                got = cast_words(name, x, "--profile", profile, "--rounding", rounding)
                want = [gfloat_code(info, v, mode, saturates) for v in x]
                explained = [g != w and is_almost_a_tie(rounding, v) for v, g, w in zip(x, got, want, strict=True)]
                is_same = np.array([g == w for g, w in zip(got, want, strict=True)]) | explained
                report.add(f"{name}: profile {profile}, {rounding}", x, got, want, is_same,
                           f"; {sum(explained)} explained: almost a tie" if any(explained) else "")


def gfloat_stochastic(report):
    """Its Stochastic is stochastic_c, StochasticFast is _b and StochasticFastest is _a."""
    random = np.random.default_rng(SEED)
    for name in ("e4m3fn", "e5m2", "e2m1", "e2m3", "binary16"):
        info = GFLOAT[name]
        numbers = decode(name)
        largest = np.max(numbers[np.isfinite(numbers)])
        x = [float(v) for v in (random.uniform(-1.2, 1.2, 1500) * largest * 2.0 ** random.integers(-9, 1, 1500))
             .astype(np.float32)]
        for rounding, mode in GFLOAT_STOCHASTIC.items():
            for count in (1, 4, 8, 16):
                r = [int(v) for v in random.integers(0, 1 << count, len(x))]
                want = [int(gfloat.encode_float(info, gfloat.round_float(info, v, mode, True, srbits, count)))
                        for v, srbits in zip(x, r, strict=True)]
                got = cast_words(name, x, "--profile", "gfloat_saturate", "--rounding", rounding, "--random-bits",
                                 str(count), "--random", ",".join(map(str, r)))
                is_same = np.array([g == w for g, w in zip(got, want, strict=True)])
                report.add(f"{name}: {rounding} with {count} bits", x, got, want, is_same)


PARTS = [ml_dtypes_decode, ml_dtypes_profile, ml_dtypes_doubles, ml_dtypes_explained,
         gfloat_decode, gfloat_profile, gfloat_stochastic]


def main():
    warnings.simplefilter("ignore")
    report = Report()
    next(part for part in PARTS if part.__name__ == sys.argv[2])(report)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
