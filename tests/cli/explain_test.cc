#include <map>

#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

/// One column of what `halfulp explain` prints, by kind and name of the row.
std::map<std::string, std::string> explained(Strings arguments, const std::string& column) {
  arguments.insert(arguments.begin(), {"explain", "--csv"});
  const std::string csv = output_of(arguments);
  const Strings kinds = csv_column(csv, "kind"), names = csv_column(csv, "name"), cells = csv_column(csv, column);
  std::map<std::string, std::string> result;
  for (size_t i = 0; i < kinds.size(); ++i) result[kinds[i] + " " + names[i]] = cells[i];
  return result;
}

void expect_cells(const Strings& arguments, const std::string& column,
                  const std::vector<std::pair<std::string, std::string>>& wanted) {
  const std::map<std::string, std::string> got = explained(arguments, column);
  for (const auto& [row, cell] : wanted) {
    ASSERT_TRUE(got.count(row)) << row;
    EXPECT_EQ(got.at(row), cell) << row;
  }
}

TEST(ExplainVerb, shows_that_references_disagree_about_465_in_e4m3fn) {
  expect_cells({"465", "--format", "e4m3fn"}, "code",
               {{"profile ml_dtypes", "7f"},
                {"profile torch_2_11", "7f"},
                {"profile torch_2_13", "7e"},
                {"profile cuda", "7e"},
                {"profile cutlass", "7e"},
                {"profile universal", "7f"},
                {"profile cpfloat", "7f"},
                {"profile apfloat", "7f"},
                {"profile triton", "7e"}});
  expect_cells({"465", "--format", "e4m3fn"}, "decimal",
               {{"profile cpfloat", "480"}, {"profile cuda", "448"}, {"profile ml_dtypes", "nan"}});
  expect_cells({"465", "--format", "e4m3fn"}, "casts_to", {{"profile cpfloat", "e4m3finite"}, {"profile cuda", ""}});
  expect_cells(
      {"465", "--format", "e4m3fn"}, "evidence",
      {{"profile cuda", "verified"}, {"profile torch_2_11", "read_in_source"}, {"profile torch_2_13", "specified"}});
}

TEST(ExplainVerb, shows_that_references_disagree_about_nan_in_e2m1) {
  expect_cells({"nan", "--format", "e2m1"}, "code",
               {{"profile cuda", "7"},
                {"profile onnx_saturate", "7"},
                {"profile fpy", "7"},
                {"profile cutlass", "7"},
                {"profile ml_dtypes", "8"},
                {"profile universal", "0"},
                {"profile te_python", "0"},
                {"profile torchao", "3"},
                {"profile gfloat", ""}});
}

TEST(ExplainVerb, shows_only_profiles_that_know_the_format) {
  const std::map<std::string, std::string> codes = explained({"3", "--format", "e8m0"}, "code");
  EXPECT_EQ(codes.at("profile ml_dtypes"), "81");
  EXPECT_EQ(codes.at("profile gfloat"), "80");
  EXPECT_FALSE(codes.count("profile hip"));
  EXPECT_FALSE(codes.count("profile apfloat"));
  expect_cells({"3", "--format", "e8m0"}, "rounding",
               {{"profile ml_dtypes", "ties_to_away"}, {"profile cuda", "toward_positive"}});
}

TEST(ExplainVerb, shows_the_neighbours_and_their_distances) {
  const Strings number = {"1.09375", "--format", "e4m3fn"};
  expect_cells(number, "code", {{"neighbour not above", "38"}, {"neighbour not below", "39"}});
  expect_cells(number, "ulps", {{"neighbour not above", "-0.75"}, {"neighbour not below", "0.25"}});
  const Strings negative = {"-1.09375", "--format", "e4m3fn"};
  expect_cells(negative, "code", {{"neighbour not above", "b9"}, {"neighbour not below", "b8"}});
  expect_cells(negative, "ulps", {{"neighbour not above", "-0.25"}, {"neighbour not below", "0.75"}});
  const Strings beyond = {"-1e9", "--format", "e2m1"};
  expect_cells(beyond, "code", {{"neighbour not above", ""}, {"neighbour not below", "f"}});
  const Strings exact = {"-6", "--format", "e2m1"};
  expect_cells(exact, "code", {{"neighbour not above", "f"}, {"neighbour not below", "f"}});
  expect_cells(exact, "ulps", {{"neighbour not above", "0"}, {"neighbour not below", "0"}});
  const Strings below = {"0x1p-130", "--format", "e8m0"};
  expect_cells(below, "code", {{"neighbour not above", ""}, {"neighbour not below", "00"}});
  expect_cells(below, "ulps", {{"neighbour not below", "0.875"}});
  const Strings no_sign = {"-1", "--format", "ue4m3"};
  expect_cells(no_sign, "code", {{"neighbour not above", ""}, {"neighbour not below", "00"}});
}

TEST(ExplainVerb, names_where_the_number_stands) {
  const auto stands = [](const std::string& value, const std::string& format) {
    return csv_column(output_of({"explain", "--csv", value, "--format", format}), "name").at(0);
  };
  EXPECT_EQ(stands("1", "e4m3fn"), "normal");
  EXPECT_EQ(stands("0x1.8p-7", "e4m3fn"), "subnormal");
  EXPECT_EQ(stands("0x1p-10", "e4m3fn"), "below the smallest number");
  EXPECT_EQ(stands("448", "e4m3fn"), "normal");
  EXPECT_EQ(stands("-449", "e4m3fn"), "beyond the range");
  EXPECT_EQ(stands("-128", "int8"), "normal");
  EXPECT_EQ(stands("128", "int8"), "beyond the range");
  EXPECT_EQ(stands("-1", "e8m0"), "below the range");
  EXPECT_EQ(stands("-0", "e4m3fn"), "zero");
  EXPECT_EQ(stands("-inf", "e4m3fn"), "infinity");
  EXPECT_EQ(stands("nan", "e4m3fn"), "nan");
}

// 1.0625 lies half way between 38 and 39, -1.15625 a quarter of the way from b9 to ba.
TEST(ExplainVerb, shows_every_rounding) {
  const auto expect_codes = [](const std::string& x, const Strings& wanted) {
    const std::string csv = output_of({"explain", "--csv", x, "--format", "e4m3fn"});
    const Strings kinds = csv_column(csv, "kind"), all = csv_column(csv, "code");
    Strings codes;
    for (size_t i = 0; i < kinds.size(); ++i)
      if (kinds[i] == "rounding") codes.push_back(all[i]);
    EXPECT_EQ(codes, wanted) << x;
  };
  // nearest: even, away, zero, odd, positive, negative; zero, positive, negative, away, odd, even; stochastic
  expect_codes("1.0625", {"38", "39", "38", "39", "39", "38", "38", "39", "38", "39", "39", "38",  //
                          "38", "38", "38", "38", "38"});
  expect_codes("-1.15625", {"b9", "b9", "b9", "b9", "b9", "b9", "b9", "b9", "ba", "ba", "b9", "ba",  //
                            "b9", "b9", "b9", "b9", "b9"});
}

// 0.3 lies 0.6 of the way from 0 to 0.5, which is 153.6 of 256.
TEST(ExplainVerb, shows_how_often_stochastic_roundings_go_up) {
  expect_cells({"-0.3", "--format", "e2m1", "--random-bits", "8"}, "probability",
               {{"rounding stochastic", "0.6"},
                {"rounding stochastic_a", "0.59765625"},
                {"rounding stochastic_b", "0.6015625"},
                {"rounding stochastic_c", "0.6015625"},
                {"rounding stochastic_equal", "0.5"},
                {"rounding ties_to_even", ""}});
  expect_cells({"-0.3", "--format", "e2m1", "--random-bits", "8"}, "code",
               {{"rounding stochastic", "9"}, {"rounding stochastic_a", "9"}, {"rounding stochastic_equal", "8"}});
  for (const char* exact : {"1", "0", "inf", "nan"})
    expect_cells({exact, "--format", "e5m2"}, "probability",
                 {{"rounding stochastic", "0"}, {"rounding stochastic_c", "0"}, {"rounding stochastic_equal", "0"}});
}

TEST(ExplainVerb, reads_the_number_as_asked) {
  expect_cells({"-nan", "--format", "e5m2", "--from", "f32"}, "code", {{"profile cuda", "7f"}});
  expect_cells({"-nan", "--format", "e5m2", "--from", "f64"}, "code", {{"profile cuda", "fe"}});
  EXPECT_EQ(csv_column(output_of({"explain", "--csv", "0.1", "--format", "e5m2", "--from", "f32"}), "value").at(0),
            "0x1.99999ap-4");
}

TEST(ExplainVerb, table_json_and_csv_carry_the_same_facts) {
  expect_same_facts({"explain", "465", "--format", "e4m3fn"});
  expect_same_facts({"explain", "nan", "--format", "e2m1"});
  expect_same_facts({"explain", "-0.1", "--format", "e8m0"});
}

TEST(ExplainVerb, says_what_is_wrong) {
  expect_unusable({"explain", "--format", "e2m1"}, {"VALUE"});
  expect_unusable({"explain", "1"}, {"--format"});
  expect_unusable({"explain", "1x", "--format", "e2m1"}, {"argument 1 '1x'", "not a number"});
  expect_unusable({"explain", "1", "--format", "e2m"}, {"no format named 'e2m'"});
  expect_unusable({"explain", "1", "--format", "e2m1", "--random-bits", "33"}, {"1 to 32", "not 33"});
}

TEST(CastVerb, takes_the_rounding_of_the_profile_unless_one_is_given) {
  const auto code = [](Strings arguments) {
    arguments.insert(arguments.begin(), {"cast", "--csv", "--format", "e8m0", "--profile"});
    return csv_column(output_of(arguments), "code").at(0);
  };
  EXPECT_EQ(code({"cuda", "1.25"}), "80");
  EXPECT_EQ(code({"ml_dtypes", "1.25"}), "7f");
  EXPECT_EQ(code({"onednn", "1.75"}), "7f");
  EXPECT_EQ(code({"cuda", "--rounding", "toward_zero", "1.25"}), "7f");
}

TEST(CastVerb, says_where_a_profile_has_no_code) {
  EXPECT_EQ(csv_column(output_of({"cast", "--csv", "--format", "e2m1", "--profile", "gfloat", "1", "nan"}), "code"),
            (Strings{"2", ""}));
  expect_unusable({"cast", "--format", "e2m1", "--profile", "gfloat", "--binary", "--from", "f32"},
                  {"number 2", "nan has no code in profile gfloat"}, bytes_of(std::vector<float>{1, NAN}));
  expect_unusable({"cast", "--format", "e2m1", "--profile", "hip", "1"},
                  {"profile hip does not cast to e2m1", "e4m3fn e5m2 e4m3fnuz e5m2fnuz"});
}

TEST(CastVerb, binary_goes_by_the_exceptions_of_a_profile) {
  const std::vector<float> subnormals = {0x1p-127f, 0x1.4p-127f, 0x1p-126f};
  EXPECT_EQ(output_of({"cast", "--format", "e8m0", "--profile", "torch_2_11", "--binary", "--from", "f32"},
                      bytes_of(subnormals)),
            std::string("\0\1\1", 3));
}

TEST(DecodeVerb, reads_codes_as_a_profile_does) {
  const auto value = [](const std::string& profile) {
    return csv_column(output_of({"decode", "--csv", "--format", "e8m0", "--profile", profile, "00"}), "value").at(0);
  };
  EXPECT_EQ(value("ocp"), "0x1p-127");
  EXPECT_EQ(value("triton"), "0x0p+0");
}

}  // namespace
}  // namespace halfulp
