#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "tests/support/te.h"

using namespace tecc;

namespace {

const std::vector<std::string> folders = {"ir", "schedule", "compiler", "codegen", "runtime", "autotune", "python_free_cli"};
/// What runtime may use of codegen: a program that only launches artifacts links no compiler.
const std::vector<std::string> contract = {"codegen/artifact.h", "codegen/formula.h"};

/// Lines of `text` that include what stands below `folder`, or "" if none does.
std::string wrong_includes(const std::string& folder, const std::string& file, const std::string& text) {
  static const std::regex include("#include \"([a-z_]+)/([^\"]+)\"");
  const auto rank = [](const std::string& f) { return std::find(folders.begin(), folders.end(), f) - folders.begin(); };
  std::string out;
  for (std::sregex_iterator i(text.begin(), text.end(), include), end; i != end; ++i) {
    const std::string path = (*i)[1].str() + "/" + (*i)[2].str();
    const bool downwards = rank((*i)[1]) > rank(folder);
    const bool too_much = folder == "runtime" && (*i)[1] == "codegen" && std::find(contract.begin(), contract.end(), path) == contract.end();
    if (downwards || too_much) out += fmt::format("{} includes {}\n", file, path);
  }
  return out;
}

}  // namespace

TEST_CASE("includes: a folder uses only folders before it in the flow of data") {
  std::string wrong;
  for (const std::string& folder : folders)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(TECC_SOURCE_DIR "/") + folder))
      if (const auto e = entry.path().extension(); e == ".cpp" || e == ".h")
        wrong += wrong_includes(folder, entry.path().lexically_relative(TECC_SOURCE_DIR).string(), test::read_file(entry.path()));
  CHECK(wrong == "");
}

TEST_CASE("includes: the check sees what is wrong") {
  CHECK(wrong_includes("ir", "ir/x.h", "#include \"schedule/step.h\"\n#include \"ir/expr.h\"") == "ir/x.h includes schedule/step.h\n");
  CHECK(wrong_includes("runtime", "runtime/x.h", "#include \"codegen/artifact.h\"\n#include \"codegen/build.h\"") == "runtime/x.h includes codegen/build.h\n");
  CHECK(wrong_includes("autotune", "autotune/x.h", "#include \"tests/support/te.h\"") == "autotune/x.h includes tests/support/te.h\n");
}
