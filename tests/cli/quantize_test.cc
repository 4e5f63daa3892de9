#include <fmt/format.h>

#include <cmath>

#include "formats/block.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

std::vector<float> normal_values(size_t count) {
  std::vector<float> values;
  for (uint32_t i = 0; i < count; ++i) {
    const double u = double(int32_t(random_word({.seed = 12}, i))) / 2147483648.0;
    values.push_back(float(u * std::exp2(double(random_word({.seed = 13}, i) % 12) - 6)));
  }
  return values;
}

/// The parts of a file that `halfulp` wrote.
struct Written {
  std::string header, data;
};

Written read_written(const std::string& path) {
  const std::string bytes = read_file(path);
  EXPECT_TRUE(bytes.starts_with(std::string_view("\x93NUMPY\x01\x00", 8))) << path;
  if (bytes.size() < 10) return {};
  const size_t length = static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  EXPECT_EQ((10 + length) % 64, 0u) << "the data is aligned";
  std::string header = bytes.substr(10, length);
  EXPECT_TRUE(header.ends_with("\n"));
  header.erase(header.find_last_not_of(" \n") + 1);
  return {header, bytes.substr(10 + length)};
}

std::string header_text(const std::string& type, const std::string& shape) {
  return "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

struct Case {
  std::string block, rule, shape;  // of the blocks
  Strings rounding;
  std::string array_shape;
  int rows, cols;
  std::string scales_shape;
};

TEST(QuantizeVerb, files_hold_what_the_reference_gives) {
  const Strings stochastic = {"--rounding", "stochastic_a", "--random-bits", "8", "--seed", "21"};
  for (const Case& c : std::vector<Case>{{"mxfp4", "floor", "", {}, "(4, 40)", 4, 40, "(4, 2)"},
                                         {"mxfp8_e4m3", "rceil", "", {}, "(2, 3, 64)", 6, 64, "(2, 3, 2)"},
                                         {"mxint8", "even", "", {"--rounding", "toward_zero"}, "(70,)", 1, 70, "(3,)"},
                                         {"nvfp4", "", "", {}, "(5, 33)", 5, 33, "(5, 3)"},
                                         {"nvfp4", "nearest", "16x16", stochastic, "(2, 10, 20)", 20, 20, "(2, 2)"},
                                         {"mxfp6_e2m3", "ceil", "1x8", stochastic, "(3, 8)", 3, 8, "(3, 1)"},
                                         {"nvfp4:variant=te", "", "", {}, "(5, 33)", 5, 33, "(5, 3)"},
                                         {"if4:nan=element", "", "1x8", stochastic, "(5, 33)", 5, 33, "(5, 5)"},
                                         {"e2m1/ue5m3/2x16:outer=tensor", "rceil", "", {}, "(4, 33)", 4, 33, "(2, 3)"},
                                         {"mxfp4:prescale=3/4", "floor", "", {}, "(4, 40)", 4, 40, "(4, 2)"},
                                         {"mxfp4", "floor", "", {}, "(0, 8)", 0, 8, "(0, 1)"},
                                         {"nvfp4", "", "", {}, "(3, 0)", 3, 0, "(3, 0)"}}) {
    SCOPED_TRACE(c.block + " " + c.array_shape);
    const ScratchFolder scratch;
    std::vector<float> x = normal_values(size_t(c.rows) * size_t(c.cols));
    if (c.block == "mxfp8_e4m3") {
      x[5] = std::numeric_limits<float>::infinity();
      x[70] = -0.0f;
    }
    write_file(scratch.file("in.npy"), float_npy(c.array_shape, x));
    Strings arguments = {"quantize",
                         "--block",
                         c.block,
                         scratch.file("in.npy"),
                         scratch.file("out.npy"),
                         "--codes",
                         scratch.file("codes.npy"),
                         "--scales",
                         scratch.file("scales.npy"),
                         "--json"};
    if (!c.rule.empty()) arguments.insert(arguments.end(), {"--scale-rule", c.rule});
    if (!c.shape.empty()) arguments.insert(arguments.end(), {"--shape", c.shape});
    arguments.insert(arguments.end(), c.rounding.begin(), c.rounding.end());
    const auto summary = nlohmann::json::parse(output_of(arguments));

    const std::optional<ScaleRule> rule = c.rule.empty() ? std::nullopt : std::optional(parse<ScaleRule>(c.rule));
    const BlockFormat format = make_block_format(c.block, rule, c.shape);
    const Rounding rounding = c.rounding.empty() ? Rounding::TiesToEven : parse<Rounding>(c.rounding[1]);
    const BlockQuantizer quantizer(format, rounding, 8);
    const BlockCodes wanted = quantizer.quantize_reference(x, c.rows, c.cols, {.seed = 21});

    const Written codes = read_written(scratch.file("codes.npy"));
    EXPECT_EQ(codes.header, header_text("|u1", c.array_shape));
    EXPECT_TRUE(codes.data == bytes_of(std::vector<uint8_t>(wanted.codes.begin(), wanted.codes.end())));
    const Written scales = read_written(scratch.file("scales.npy"));
    EXPECT_EQ(scales.header, header_text("|u1", c.scales_shape));
    EXPECT_TRUE(scales.data == bytes_of(std::vector<uint8_t>(wanted.scales.begin(), wanted.scales.end())));

    const Written out = read_written(scratch.file("out.npy"));
    EXPECT_EQ(out.header, header_text("<f4", c.array_shape));
    const std::vector<float> values = values_of<float>(out.data);
    ASSERT_EQ(values.size(), x.size());
    const int block_cols = format.cols, blocks_in_row = (c.cols + block_cols - 1) / block_cols;
    for (int row = 0; row < c.rows; ++row)
      for (int col = 0; col < c.cols; ++col) {
        const size_t i = size_t(row) * size_t(c.cols) + size_t(col);
        const size_t block = size_t(row / format.rows) * size_t(blocks_in_row) + size_t(col / block_cols);
        const float product = float(element_value(format, wanted.scales[block], wanted.codes[i]) *
                                    scale_value(format, wanted.scales[block]));
        const float value = product * wanted.tensor_scale;
        ASSERT_TRUE(values[i] == value || (std::isnan(values[i]) && std::isnan(value))) << i << ": " << values[i];
      }
    EXPECT_EQ(summary["elements"], x.size());
    if (format.has_tensor_scale || wanted.tensor_scale != 1)
      EXPECT_EQ(summary["tensor_scale"], double(wanted.tensor_scale));
    else
      EXPECT_TRUE(summary["tensor_scale"].is_null());
  }
}

TEST(QuantizeVerb, tensor_scales_of_rows_have_a_file_and_are_in_the_values) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(2, 2)", {6 * 448, 6, -3, 12}));
  const auto summary = nlohmann::json::parse(
      output_of({"quantize", "--block", "nvfp4:outer=row", scratch.file("in.npy"), scratch.file("out.npy"),
                 "--tensor-scales", scratch.file("tensor.npy"), "--json"}));
  EXPECT_TRUE(summary["tensor_scale"].is_null());
  EXPECT_EQ(summary["block"], "nvfp4:outer=row");
  const Written scales = read_written(scratch.file("tensor.npy"));
  EXPECT_EQ(scales.header, header_text("<f4", "(2, 1)"));
  EXPECT_EQ(values_of<float>(scales.data), (std::vector<float>{1, float(12 / 2688.0)}));
  const std::vector<float> values = values_of<float>(read_written(scratch.file("out.npy")).data);
  EXPECT_EQ(values[0], 6 * 448.0f);
  EXPECT_EQ(values[3], float(6 * 448) * float(12 / 2688.0));
}

TEST(QuantizeVerb, given_scales_and_an_earlier_amax_take_the_place_of_those_that_follow_from_the_numbers) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(1, 4)", {1, 5, -3, 20}));
  write_file(scratch.file("scales.npy"),
             npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }\n", "\x38\x40"));  // 1 and 2
  const auto summary = nlohmann::json::parse(
      output_of({"quantize", "--block", "nvfp4", "--shape", "1x2", scratch.file("in.npy"), scratch.file("out.npy"),
                 "--given-scales", scratch.file("scales.npy"), "--amax", "2688", "--scales",
                 scratch.file("written.npy"), "--codes", scratch.file("codes.npy"), "--json"}));
  EXPECT_EQ(summary["tensor_scale"], 1);
  EXPECT_EQ(summary["saturated"], 1);
  EXPECT_EQ(read_written(scratch.file("written.npy")).data, "\x38\x40");
  EXPECT_EQ(read_written(scratch.file("codes.npy")).data, "\x02\x06\x0b\x07");
  EXPECT_EQ(values_of<float>(read_written(scratch.file("out.npy")).data), (std::vector<float>{1, 4, -3, 12}));
  // Without the amax the array's own, 20, decides.
  output_of({"quantize", "--block", "nvfp4", "--shape", "1x2", scratch.file("in.npy"), scratch.file("out.npy"),
             "--given-scales", scratch.file("scales.npy")});
  const float tensor_scale = float(20 / 2688.0);
  EXPECT_EQ(values_of<float>(read_written(scratch.file("out.npy")).data),
            (std::vector<float>{6 * tensor_scale, 6 * tensor_scale, -12 * tensor_scale, 12 * tensor_scale}));
}

TEST(QuantizeVerb, summary_counts_what_happened) {
  const ScratchFolder scratch;
  // one block of mxfp4 with scale 2^0: 7 exceeds the largest element, 0.1 vanishes, 0.5 is subnormal
  write_file(scratch.file("in.npy"), float_npy("(5,)", {7, 0.1f, 0.5f, 3, 0}));
  const Strings arguments = {
      "quantize", "--block", "mxfp4", "--scale-rule", "floor", scratch.file("in.npy"), scratch.file("out.npy")};
  Strings json = arguments;
  json.push_back("--json");
  const auto summary = nlohmann::json::parse(output_of(json));
  EXPECT_EQ(summary["block"], "mxfp4");
  EXPECT_EQ(summary["scale_rule"], "floor");
  EXPECT_EQ(summary["rounding"], "ties_to_even");
  EXPECT_EQ(summary["elements"], 5);
  EXPECT_EQ(summary["saturated"], 1);
  EXPECT_EQ(summary["flushed_to_zero"], 1);
  EXPECT_EQ(summary["subnormal"], 1);
  EXPECT_EQ(summary["nan_or_infinite"], 0);
  EXPECT_NEAR(summary["sqnr_db"].get<double>(), 10 * std::log10((49 + 0.01 + 0.25 + 9) / (1 + 0.01)), 1e-6);
  expect_same_facts(arguments);
  EXPECT_EQ(values_of<float>(read_written(scratch.file("out.npy")).data), (std::vector<float>{6, 0, 0.5, 3, 0}));
}

TEST(QuantizeVerb, sqnr_is_infinite_without_error_and_absent_without_signal) {
  const ScratchFolder scratch;
  const auto sqnr = [&](const std::vector<float>& values) {
    write_file(scratch.file("in.npy"), float_npy("(2,)", values));
    return nlohmann::json::parse(output_of({"quantize", "--block", "mxfp4", "--scale-rule", "floor", "--json",
                                            scratch.file("in.npy"), scratch.file("out.npy")}))["sqnr_db"];
  };
  EXPECT_EQ(sqnr({1, 2}), "inf");
  EXPECT_TRUE(sqnr({0, -0.0f}).is_null());
}

/// Expects that a file is turned down with a message that names it and holds every one of `parts`, and no output.
void expect_rejected(const std::string& bytes, Strings parts) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), bytes);
  parts.push_back(scratch.file("in.npy") + ": ");
  expect_unusable({"quantize", "--block", "nvfp4", scratch.file("in.npy"), scratch.file("out.npy")}, parts);
  EXPECT_EQ(scratch.file_count(), 1u);
}

std::string with_header(const std::string& header) { return npy_bytes(header, std::string(48, '\0')); }

TEST(Npy, versions_1_and_2_are_read) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }\n";
  const Strings good = {with_header(header), npy_bytes(header, std::string(48, '\0'), 2),
                        with_header("{\"shape\":(3,4),\"descr\":\"<f4\",\"fortran_order\":False}"),
                        with_header(" { 'shape' : ( 3 , 4 , ) , 'fortran_order' : False , 'descr' : '<f4' } \n"),
                        with_header(header + std::string(5000, ' '))};
  for (const std::string& bytes : good) {
    const ScratchFolder scratch;
    write_file(scratch.file("in.npy"), bytes);
    output_of({"quantize", "--block", "nvfp4", scratch.file("in.npy"), scratch.file("out.npy")});
    EXPECT_EQ(read_written(scratch.file("out.npy")).data, std::string(48, '\0'));
  }
}

TEST(Npy, what_is_no_npy_file_is_rejected) {
  expect_rejected("", {"ends inside the magic number"});
  expect_rejected("\x93NUM", {"ends inside the magic number"});
  expect_rejected("PK\x03\x04 something else", {"no .npy file"});
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }\n";
  expect_rejected(npy_bytes(header, std::string(48, '\0'), 3), {"version 3.0", "1.0 and 2.0"});
  expect_rejected(npy_bytes(header, std::string(48, '\0'), 1, 1), {"version 1.1"});
  expect_rejected(npy_bytes(header, std::string(48, '\0'), 0), {"version 0.0"});
}

TEST(Npy, other_types_and_orders_are_rejected) {
  const auto typed = [](const std::string& type) {
    return with_header("{'descr': '" + type + "', 'fortran_order': False, 'shape': (6,), }\n");
  };
  for (const char* type : {"<f8", ">f4", "<f2", "|u1", "f4", "<i4", "", "O"})
    expect_rejected(typed(type), {fmt::format("type is '{}'", type), "little-endian float32"});
  expect_rejected(typed(std::string("<f4\0", 4)), {"type is '<f4?'"});
  expect_rejected(with_header("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n"),
                  {"Fortran order", "C order"});
}

TEST(Npy, files_of_another_length_than_their_shape_are_rejected) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }\n";
  expect_rejected(npy_bytes(header, std::string(47, '\0')), {"ends after 47 bytes", "takes 48"});
  expect_rejected(npy_bytes(header, ""), {"ends after 0 bytes", "takes 48"});
  expect_rejected(npy_bytes(header, std::string(49, '\0')), {"goes on after the 48 bytes"});
  expect_rejected(with_header(header).substr(0, 9), {"ends inside the header's length"});
  expect_rejected(with_header(header).substr(0, 30), {"ends inside the header"});
}

TEST(Npy, headers_and_shapes_of_absurd_size_are_rejected) {
  std::string huge = npy_bytes("", "", 2);
  huge.replace(8, 4, "\xff\xff\xff\xff");
  expect_rejected(huge, {"header of 4294967295 bytes", "65536"});
  const auto shaped = [](const std::string& shape) {
    return with_header("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n");
  };
  expect_rejected(shaped("(4611686018427387904,)"), {"more bytes than any file has"});
  expect_rejected(shaped("(4294967296, 4294967296)"), {"more bytes than any file has"});
  expect_rejected(shaped("(4294967296, 1073741824, 0)"), {"more bytes than any file has"});
  expect_rejected(shaped("(1099511627776,)"), {"ends after 48 bytes", "takes 4398046511104"});
  expect_rejected(npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 0), }\n", ""),
                  {"4294967296 rows of 0", "at most 2147483647"});
  expect_rejected(npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", std::string(4, '\0')),
                  {"a single number"});
}

TEST(Npy, hostile_headers_are_rejected) {
  const Strings headers = {"",
                           "{",
                           "}",
                           "{}",
                           "{'descr': '<f4', 'fortran_order': False}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), } x",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }{}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), 'shape': (12,)}",
                           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (12,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'fortran_order': False, 'shape': (12,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), 'more': 1}",
                           "{'descr': '<f4' 'fortran_order': False, 'shape': (12,)}",
                           "{'descr': '<f4', 'fortran_order': 0, 'shape': (12,)}",
                           "{'descr': '<f4, 'fortran_order': False, 'shape': (12,)}",
                           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (12,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': 12}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (-12,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (3,,4)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12L,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12.0,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (12,),, }",
                           std::string("{'descr': '<f4', \0 'fortran_order': False, 'shape': (12,)}", 58),
                           std::string(60000, '('),
                           "__import__('os').system('true')"};
  for (const std::string& header : headers) {
    SCOPED_TRACE(header.substr(0, 200));
    expect_rejected(with_header(header), {"its header is not {'descr': '<f4'"});
  }
}

TEST(QuantizeVerb, arguments_that_do_not_go_together_say_what_does) {
  const ScratchFolder scratch;
  const std::string in = scratch.file("in.npy"), out = scratch.file("out.npy");
  write_file(in, float_npy("(2, 3)", {1, 2, 3, 4, 5, 6}));
  expect_unusable({"quantize", in, out}, {"--block is missing"});
  expect_unusable({"quantize", "--block", "nvfp4"}, {"IN.npy is missing"});
  expect_unusable({"quantize", "--block", "nvfp4", in}, {"OUT.npy is missing"});
  expect_unusable({"quantize", "--block", "nvfp4", in, out, out}, {"one argument too many"});
  expect_unusable({"quantize", "--block", "nvfp5", in, out}, {"no block format named 'nvfp5'; nearest: nvfp4"});
  expect_unusable({"quantize", "--block", "mxfp4", in, out}, {"--scale-rule", "must be stated", "floor, ceil, even"});
  expect_unusable({"quantize", "--block", "nvfp4", "--scale-rule", "triton_up", in, out},
                  {"not with scale rule 'triton_up'"});
  expect_unusable({"quantize", "--block", "nvfp4", "--scale-rule", "flor", in, out}, {"nearest: floor"});
  expect_unusable({"quantize", "--block", "nvfp4", "--shape", "0x4", in, out}, {"--shape", "'0x4'", "16x16"});
  expect_unusable({"quantize", "--block", "nvfp4", "--rounding", "stochastic_a", in, out},
                  {"--random-bits is missing"});
  expect_unusable({"quantize", "--block", "nvfp4", "--codes", out, in, out}, {"each a file of its own"});
  expect_unusable({"quantize", "--block", "nvfp4", scratch.file("none.npy"), out}, {"none.npy: No such file"});
  expect_unusable({"quantize", "--block", "nvfp4", scratch.file(""), out}, {"Is a directory"});
  expect_unusable({"quantize", "--block", "nvfp4", in, scratch.file("no/out.npy")}, {"no/out.npy: No such file"});
  expect_unusable({"quantize", "--block", "nvfp4", in, scratch.file("")}, {"Is a directory"});
  EXPECT_EQ(scratch.file_count(), 1u);
}

TEST(QuantizeVerb, a_full_disk_leaves_nothing_behind) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(1000,)", normal_values(1000)));
  expect_unusable({"quantize", "--block", "nvfp4", scratch.file("in.npy"), "/dev/full"}, {"/dev/full: No space left"});
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  // no file may grow beyond three blocks of 512 bytes, which the codes fit but the values do not
  const CommandResult result = shell("cd " + scratch.file("") + " && trap '' XFSZ && ulimit -f 3 && " +
                                     "halfulp quantize --block nvfp4 in.npy out.npy --codes codes.npy");
  expect_unusable(result, {"out.npy: File too large"});
  EXPECT_EQ(scratch.file_count(), 1u);
}

TEST(QuantizeVerb, an_output_that_is_there_is_replaced_whole_or_kept) {
  const ScratchFolder scratch;
  const std::string in = scratch.file("in.npy"), out = scratch.file("out.npy"), link = scratch.file("link.npy");
  write_file(in, float_npy("(2,)", {1.1f, 3}));
  write_file(out, "old");
  expect_unusable({"quantize", "--block", "nvfp4", in, out, "--scales", "/dev/full"}, {"/dev/full"});
  EXPECT_EQ(read_file(out), "old");
  std::filesystem::create_symlink(out, link);
  std::filesystem::permissions(out, std::filesystem::perms(0640));
  output_of({"quantize", "--block", "nvfp4", in, link});
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(std::filesystem::status(out).permissions(), std::filesystem::perms(0640));
  EXPECT_EQ(read_written(out).header, header_text("<f4", "(2,)"));
  output_of({"quantize", "--block", "nvfp4", in, in});
  EXPECT_EQ(read_file(in), read_file(out));
  EXPECT_EQ(scratch.file_count(), 3u);
}

}  // namespace
}  // namespace halfulp
