// Running the built `halfulp` binary and reading what it prints.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace halfulp {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  ASSERT_TRUE(file.good()) << path;
}

/// A folder of the test's own, gone with it.
class ScratchFolder {
 public:
  ScratchFolder() : path_(testing::TempDir() + "halfulp_cli_XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << path_ << ": " << std::strerror(errno);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  size_t file_count() const {
    return size_t(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

struct CommandResult {
  int exit_code;
  std::string out, err;
};

/// Runs a program with `input` as its standard input.
inline CommandResult run_program(const std::string& program, std::vector<std::string> arguments,
                                 std::string_view input = "") {
  const ScratchFolder scratch;
  const std::string in = scratch.file("in"), out = scratch.file("out"), err = scratch.file("err");
  write_file(in, input);
  arguments.insert(arguments.begin(), program);
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t process = 0;
  const int error = posix_spawn(&process, program.c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    ADD_FAILURE() << program << ": " << std::strerror(error);
    return {-1, "", ""};
  }
  int status = 0;
  waitpid(process, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
}

inline CommandResult halfulp_command(const std::vector<std::string>& arguments, std::string_view input = "") {
  return run_program(HALFULP_COMMAND, arguments, input);
}

/// What is printed where nothing goes wrong.
inline std::string output_of(const std::vector<std::string>& arguments, std::string_view input = "") {
  const CommandResult result = halfulp_command(arguments, input);
  EXPECT_EQ(result.exit_code, 0) << testing::PrintToString(arguments) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

/// Runs a line of shell, in which `halfulp` is the binary.
inline CommandResult shell(const std::string& line) {
  const std::string folder = std::filesystem::path(HALFULP_COMMAND).parent_path();
  return run_program("/bin/sh", {"-c", "PATH=" + folder + ":$PATH\n" + line});
}

/// Expects exit code 2 and one line that holds every one of `parts`.
inline void expect_unusable(const CommandResult& result, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("halfulp") && result.err.ends_with("\n")) << result.err;
  for (const std::string& part : parts)
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.err;
}

inline void expect_unusable(const std::vector<std::string>& arguments, const std::vector<std::string>& parts,
                            std::string_view input = "") {
  SCOPED_TRACE(testing::PrintToString(arguments));
  expect_unusable(halfulp_command(arguments, input), parts);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The cells of CSV text after RFC 4180, without line ends inside cells.
inline std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  for (const std::string& line : lines_of(text)) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"') {
        if (quoted && i + 1 < line.size() && line[i + 1] == '"')
          cells.back() += line[i++];
        else
          quoted = !quoted;
      } else if (line[i] == ',' && !quoted) {
        cells.emplace_back();
      } else {
        cells.back() += line[i];
      }
    }
    rows.push_back(cells);
  }
  return rows;
}

/// One column of a verb's CSV output.
inline std::vector<std::string> csv_column(const std::string& text, const std::string& name) {
  const std::vector<std::vector<std::string>> rows = csv_rows(text);
  const size_t column = size_t(std::ranges::find(rows.at(0), name) - rows.at(0).begin());
  std::vector<std::string> cells;
  for (size_t i = 1; i < rows.size(); ++i) cells.push_back(rows[i].at(column));
  return cells;
}

/// Whether a JSON value and a CSV cell say the same.
inline bool same_fact(const nlohmann::json& value, const std::string& cell) {
  if (value.is_null()) return cell.empty();
  if (value.is_string()) return value.get<std::string>() == cell;
  if (value.is_boolean()) return cell == (value.get<bool>() ? "true" : "false");
  char* end = nullptr;
  const double number = std::strtod(cell.c_str(), &end);
  return !cell.empty() && *end == '\0' && number == value.get<double>() &&
         std::signbit(number) == std::signbit(value.get<double>());
}

/// Expects that a verb's three forms carry the same cells under the same names in the same order.
inline void expect_same_facts(const std::vector<std::string>& arguments, std::string_view input = "") {
  SCOPED_TRACE(testing::PrintToString(arguments));
  const auto with = [&](const std::string& style) {
    std::vector<std::string> all = arguments;
    if (!style.empty()) all.push_back(style);
    return output_of(all, input);
  };
  const auto json = nlohmann::ordered_json::parse(with("--json"));
  const auto csv = csv_rows(with("--csv"));
  const std::string table = with("");
  const auto objects = json.is_array() ? json : nlohmann::ordered_json::array({json});
  ASSERT_EQ(csv.size(), objects.size() + 1);
  size_t at = 0;  // cells of the table are found one after the other
  const auto expect_in_table = [&](const std::string& cell) {
    const size_t found = table.find(cell, at);
    ASSERT_NE(found, std::string::npos) << cell << " in\n" << table.substr(at);
    at = found + cell.size();
  };
  const auto spelled = [](const nlohmann::json& value, const std::string& cell) {
    return value.is_null() ? std::string("-") : value.is_boolean() ? (cell == "true" ? "yes" : "no") : cell;
  };
  if (json.is_array())
    for (const std::string& name : csv[0]) expect_in_table(name);
  for (size_t row = 0; row < objects.size(); ++row) {
    ASSERT_EQ(csv[row + 1].size(), objects[row].size());
    size_t column = 0;
    for (const auto& [name, value] : objects[row].items()) {
      const std::string& cell = csv[row + 1][column];
      EXPECT_EQ(csv[0][column], name);
      EXPECT_TRUE(same_fact(value, cell)) << name << ": " << value << " and " << cell;
      if (!json.is_array()) expect_in_table(name);
      expect_in_table(spelled(value, cell));
      ++column;
    }
  }
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

template <class T>
std::vector<T> values_of(const std::string& bytes) {
  EXPECT_EQ(bytes.size() % sizeof(T), 0u);
  std::vector<T> values(bytes.size() / sizeof(T));
  bytes.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T));
  return values;
}

/// Bytes of an .npy file with any header text.
inline std::string npy_bytes(const std::string& header, const std::string& data, int major = 1, int minor = 0) {
  std::string bytes = "\x93NUMPY";
  bytes += char(major);
  bytes += char(minor);
  const size_t digits = major == 1 ? 2 : 4;
  for (size_t i = 0; i < digits; ++i) bytes += char(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

/// An .npy file as NumPy writes it.
inline std::string float_npy(const std::string& shape, const std::vector<float>& values) {
  return npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n", bytes_of(values));
}

}  // namespace halfulp
