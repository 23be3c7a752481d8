#include <algorithm>
#include <filesystem>
#include <map>

#include "ir/base/errors.h"
#include "tests/support/te.h"

using namespace tecc;

namespace {

struct Row {
  Code code;
  const char *name, *text;
};
constexpr Row rows[] = {
#define TECC_ERROR(number, name, text, explanation) {Code::name, #name, text},
#include "ir/base/errors/all.def"
#undef TECC_ERROR
};

/// Rows without a test of their text, and why.
const std::map<std::string, std::string> without = {
    {"B0901", "an invariant that does not hold: whoever knows how to break one mends it"},
    {"E0505", "another process holds the records for 20 s"},
    {"E0523", "the machine has no socket or process left"},
    {"E0525", "a kernel of tecc that writes outside of its buffers"},
    {"E0541", "XGBoost refuses what the model gives it"},
    {"E0606", "NVRTC is missing: the tests run with and without it"},
};

/// What tests compare with: literals that C++ joins are joined, \" and \n are what they stand for.
std::string all_tests() {
  std::string out;
  for (const char* folder : {"/tests", "/examples"})
    for (const auto& f : std::filesystem::recursive_directory_iterator(TECC_SOURCE_DIR + std::string(folder))) {
      const auto ending = f.path().extension();
      if (ending != ".cpp" && ending != ".h" && ending != ".sh" && ending != ".txt") continue;
      if (f.path().filename() == "error_texts_test.cpp") continue;
      out += test::read_file(f.path());
    }
  std::string joined;
  for (std::size_t n = 0; n < out.size(); ++n) {
    if (out[n] == '\\' && n + 1 < out.size() && (out[n + 1] == '"' || out[n + 1] == 'n')) {
      joined += out[++n] == 'n' ? '\n' : '"';
      continue;
    }
    const std::size_t next = out[n] == '"' ? out.find_first_not_of(" \n", n + 1) : std::string::npos;
    if (next != std::string::npos && next > n + 1 && out[next] == '"' && out.find('\n', n) < next) n = next;
    else joined += out[n];
  }
  return joined;
}

/// The literal parts of a format string, the longest first.
std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> out(1);
  for (std::size_t n = 0; n < text.size(); ++n) {
    if ((text[n] == '{' || text[n] == '}') && n + 1 < text.size() && text[n + 1] == text[n]) out.back() += text[n++];
    else if (text[n] == '{') n = text.find('}', n), out.emplace_back();
    else out.back() += text[n];
  }
  std::sort(out.begin(), out.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  return out;
}

}  // namespace

TEST_CASE("error texts: every row is tested by its text") {
  const std::string tests = all_tests();
  for (const Row& r : rows) {
    if (without.count(number(r.code))) continue;
    INFO(number(r.code) << " " << r.name << ": " << r.text);
    const auto parts = parts_of(r.text);
    // By its longest part, or by its number and any part that is no mere word.
    const bool numbered = tests.find(number(r.code)) != std::string::npos;
    const bool tested = tests.find(parts[0]) != std::string::npos ||
                        (numbered && std::any_of(parts.begin(), parts.end(), [&](const std::string& p) { return p.size() >= 8 && tests.find(p) != std::string::npos; }));
    CHECK(tested);
  }
}
