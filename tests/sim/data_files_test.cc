#include "sim/data_files.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <stdexcept>

namespace halfulp {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

Bytes big_endian(uint64_t value, int bytes) {
  Bytes result;
  for (int i = bytes - 1; i >= 0; --i) result.push_back(uint8_t(value >> (8 * i)));
  return result;
}

/// What `parse` complains about; empty: nothing.
std::string complaint(const std::function<void()>& parse) {
  try {
    parse();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

Bytes deflated(const Bytes& bytes, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, bytes.size()) + 32);
  stream.next_in = const_cast<uint8_t*>(bytes.data());
  stream.avail_in = uint32_t(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = uint32_t(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes gzip(const Bytes& bytes) { return deflated(bytes, 15 + 16); }
Bytes zlib(const Bytes& bytes) { return deflated(bytes, 15); }

// --- gzip ---

TEST(Gunzip, inverts_gzip) {
  for (size_t size : {0u, 1u, 65536u, 300001u}) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = uint8_t(i * i >> 7);
    EXPECT_EQ(gunzip("a.gz", gzip(bytes)), bytes) << size << " bytes";
  }
}

TEST(Gunzip, rejects_every_truncation) {
  const Bytes whole = gzip(bytes_of("a text that is long enough to be cut in many places"));
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    const std::string what = complaint([&] { gunzip("a.gz", cut); });
    EXPECT_TRUE(what.starts_with("a.gz: byte ") && what.ends_with("ends early")) << size << ": " << what;
  }
}

TEST(Gunzip, rejects_what_is_damaged_or_follows_the_stream) {
  Bytes damaged = gzip(bytes_of("text"));
  damaged[damaged.size() - 5] ^= 1;  // in the checksum
  EXPECT_EQ(complaint([&] { gunzip("a.gz", damaged); }),
            "a.gz: byte 20: a zlib or gzip stream expected: incorrect data check");
  EXPECT_EQ(complaint([] { gunzip("a.gz", bytes_of("no gzip at all")); }),
            "a.gz: byte 2: a zlib or gzip stream expected: incorrect header check");
  Bytes followed = gzip(bytes_of("text"));
  followed.push_back(0);
  EXPECT_EQ(complaint([&] { gunzip("a.gz", followed); }), "a.gz: byte 24: end of file expected after the gzip stream");
}

TEST(Gunzip, gives_up_on_a_stream_that_never_ends) {
  const Bytes bomb = gzip(Bytes(size_t{1} << 26 | 1));
  const std::string what = complaint([&] { gunzip("a.gz", bomb); });
  EXPECT_TRUE(what.ends_with("this one is too long")) << what;
}

// --- IDX ---

TEST(Idx, gives_extents_and_values) {
  const IdxArray array = parse_idx("a", Bytes{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15}, 2);
  EXPECT_EQ(array.extents, (std::vector{2, 3}));
  EXPECT_EQ(array.values, (Bytes{10, 11, 12, 13, 14, 15}));
}

TEST(Idx, says_what_is_wrong_and_where) {
  const auto parse = [](Bytes bytes, int dimensions) { return complaint([&] { parse_idx("a", bytes, dimensions); }); };
  EXPECT_EQ(parse({}, 1), "a: byte 0: end of file in an IDX header of 8 bytes");
  EXPECT_EQ(parse({0, 0, 8, 1, 0, 0, 0}, 1), "a: byte 7: end of file in an IDX header of 8 bytes");
  EXPECT_EQ(parse({0, 0, 8, 3, 0, 0, 0, 1, 9}, 1),
            "a: byte 0: magic number 0x00000801 expected (IDX, bytes, 1 dimensions), got 0x00000803");
  EXPECT_EQ(parse({0, 0, 8, 1, 0, 0, 0, 3, 1, 2}, 1), "a: byte 8: 3 values expected, got 2");
  EXPECT_EQ(parse({0, 0, 8, 1, 0, 0, 0, 1, 1, 2}, 1), "a: byte 8: 1 values expected, got 2");
  EXPECT_EQ(parse({0, 0, 8, 1, 0, 0, 0, 0}, 1), "a: byte 4: extent 0 of dimension 0 is not possible");
}

TEST(Idx, rejects_extents_whose_product_overflows) {
  Bytes bytes{0, 0, 8, 3};
  for (int i = 0; i < 3; ++i) append(bytes, {0xff, 0xff, 0xff, 0xff});
  EXPECT_EQ(complaint([&] { parse_idx("a", bytes, 3); }),
            "a: byte 4: extent 4294967295 of dimension 0 is not possible");
  bytes = {0, 0, 8, 2, 0, 1, 0, 0, 0, 1, 0, 0};  // 2^16 * 2^16 = 0 in 32 bits
  EXPECT_EQ(complaint([&] { parse_idx("a", bytes, 2); }), "a: byte 8: extent 65536 of dimension 1 is not possible");
}

// --- CSV ---

TEST(Csv, reads_rows_of_numbers) {
  const NumberTable table = parse_csv("a", bytes_of("1,-2.5,3e2\n0.1,5,6\n"), ',', 3);
  EXPECT_EQ(table.rows(), 2);
  EXPECT_EQ(table.values, (std::vector<double>{1, -2.5, 300, 0.1, 5, 6}));
  EXPECT_EQ(table.at(1, 2), 6);
  EXPECT_EQ(parse_csv("a", bytes_of("7 8"), ' ', 2).values, (std::vector<double>{7, 8}));
}

TEST(Csv, says_what_is_wrong_and_where) {
  const auto parse = [](std::string_view text) { return complaint([&] { parse_csv("a", bytes_of(text), ',', 2); }); };
  EXPECT_EQ(parse(""), "a: line 1: a row of numbers expected, got an empty file");
  EXPECT_EQ(parse("1,2\n3\n"), "a: line 2: 2 columns expected, got 1");
  EXPECT_EQ(parse("1,2\n\n"), "a: line 2: 2 columns expected, got 1");
  EXPECT_EQ(parse("1,2,3\n"), "a: line 1: 2 columns expected, got 3");
  EXPECT_EQ(parse("1,2\n3,4x\n"), "a: line 2, column 2: a number expected, got '4x'");
  EXPECT_EQ(parse("1,\n"), "a: line 1, column 2: a number expected, got ''");
  EXPECT_EQ(parse(",1\n"), "a: line 1, column 1: a number expected, got ''");
  EXPECT_EQ(parse("1,nan\n"), "a: line 1, column 2: a number expected, got 'nan'");
  EXPECT_EQ(parse("1e999,2\n"), "a: line 1, column 1: a number expected, got '1e999'");
  EXPECT_EQ(parse("1,2\r\n"), "a: line 1, column 2: a number expected, got '2\r'");
}

// --- R: objects written out by hand, after "R Internals", section 1.8 (serialization formats), version 2 ---

constexpr uint32_t kNil = 0xfe, kSymbol = 1, kPairs = 0x402, kString = 0x40009;
constexpr uint32_t kIntegers = 13, kReals = 14, kStrings = 16, kList = 19;
constexpr uint32_t kObject = 0x100, kAttributes = 0x200;

Bytes string(std::string_view text) {
  Bytes out = big_endian(kString, 4);
  append(out, big_endian(text.size(), 4));
  append(out, bytes_of(text));
  return out;
}

Bytes strings(const std::vector<std::string>& texts) {
  Bytes out = big_endian(kStrings, 4);
  append(out, big_endian(texts.size(), 4));
  for (const std::string& text : texts) append(out, string(text));
  return out;
}

Bytes integers(uint32_t flags, const std::vector<int>& values) {
  Bytes out = big_endian(kIntegers | flags, 4);
  append(out, big_endian(values.size(), 4));
  for (int value : values) append(out, big_endian(uint32_t(value), 4));
  return out;
}

Bytes reals(const std::vector<double>& values) {
  Bytes out = big_endian(kReals, 4);
  append(out, big_endian(values.size(), 4));
  for (double value : values) append(out, big_endian(std::bit_cast<uint64_t>(value), 8));
  return out;
}

Bytes attribute(std::string_view name, const Bytes& value) {
  Bytes out = big_endian(kPairs, 4);
  append(out, big_endian(kSymbol, 4));
  append(out, string(name));
  append(out, value);
  return out;
}

/// A data frame: weight = 1.5, -2; kind = b, a as a factor with the levels a, b.
Bytes data_frame() {
  Bytes out = bytes_of("X\n");
  for (uint32_t version : {2u, 0x00040201u, 0x00020300u}) append(out, big_endian(version, 4));
  append(out, big_endian(kList | kObject | kAttributes, 4));
  append(out, big_endian(2, 4));
  append(out, reals({1.5, -2}));
  append(out, integers(kObject | kAttributes, {2, 1}));
  append(out, attribute("levels", strings({"a", "b"})));
  append(out, attribute("class", strings({"factor"})));
  append(out, big_endian(kNil, 4));
  append(out, attribute("names", strings({"weight", "kind"})));
  append(out, attribute("row.names", integers(0, {1, 2})));
  append(out, attribute("class", strings({"data.frame"})));
  append(out, big_endian(kNil, 4));
  return out;
}

Bytes stored(const Bytes& object) {
  Bytes out = big_endian(object.size(), 4);
  append(out, zlib(object));
  return out;
}

TEST(RData, gives_numbers_and_factors_by_name) {
  const std::vector<RColumn> frame = find_r_data_frame("a.rdb", stored(data_frame()), "kind");
  ASSERT_EQ(frame.size(), 2u);
  EXPECT_EQ(frame[0].name, "weight");
  EXPECT_EQ(frame[0].values, (std::vector{1.5, -2.0}));
  EXPECT_TRUE(frame[0].levels.empty());
  EXPECT_EQ(frame[1].name, "kind");
  EXPECT_EQ(frame[1].values, (std::vector{2.0, 1.0}));
  EXPECT_EQ(frame[1].levels, (std::vector<std::string>{"a", "b"}));
}

TEST(RData, passes_over_other_objects) {
  Bytes other = data_frame();
  const std::string name = "kind";
  *std::search(other.begin(), other.end(), name.begin(), name.end()) = 'K';
  Bytes base = stored(other);
  append(base, stored(data_frame()));
  EXPECT_EQ(find_r_data_frame("a.rdb", base, "kind")[1].name, "kind");
  EXPECT_EQ(
      complaint([&] { find_r_data_frame("a.rdb", base, "price"); }),
      "a.rdb: byte " + std::to_string(base.size()) + ": a data frame with a column 'price' expected, got end of file");
}

TEST(RData, rejects_every_truncation_of_the_base) {
  const Bytes whole = stored(data_frame());
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    EXPECT_TRUE(complaint([&] { find_r_data_frame("a.rdb", cut, "kind"); }).starts_with("a.rdb: byte ")) << size;
  }
}

TEST(RData, rejects_an_object_of_another_size_than_stated) {
  Bytes base = stored(data_frame());
  ++base[3];
  const std::string size = std::to_string(data_frame().size()), stated = std::to_string(data_frame().size() + 1);
  EXPECT_EQ(complaint([&] { find_r_data_frame("a.rdb", base, "kind"); }),
            "a.rdb: byte 0: an object of " + stated + " bytes expected, got " + size);
}

TEST(RData, rejects_every_truncation_of_the_object) {
  const Bytes whole = data_frame();
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + size);
    const std::string what = complaint([&] { find_r_data_frame("a.rdb", stored(cut), "kind"); });
    EXPECT_TRUE(what.starts_with("a.rdb: byte 0: an R object expected")) << size << ": " << what;
  }
}

}  // namespace
}  // namespace halfulp
