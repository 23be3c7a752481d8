#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "codegen/cuda/assembly.h"
#include "codegen/cuda/nvrtc.h"

namespace tecc {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> find_tool(const std::string& name) {
  std::vector<std::string> folders;
  std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
  for (std::string one; std::getline(path, one, ':');) folders.push_back(one);
  // A toolkit has bin/ beside lib64/ (a package of NVRTC alone has no bin/).
  if (const char* home = std::getenv("CUDA_HOME")) folders.push_back(std::string(home) + "/bin");
  if (const std::string file = nvrtc_path(); !file.empty()) {
    const fs::path folder = fs::path(file).parent_path();
    for (const char* up : {"../bin", "../../bin", "../../../bin"}) folders.push_back((folder / up).string());
  }
  for (const std::string& f : folders) {
    std::error_code none;
    const fs::path tool = fs::path(f) / name;
    if (!f.empty() && fs::exists(tool, none) && !fs::is_directory(tool, none)) return tool.string();
  }
  return std::nullopt;
}

std::string quoted(const std::string& s) {
  std::string out = "'";
  for (const char c : s) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::optional<Disassembly> disassemble(const std::string& cubin_path) {
  constexpr std::pair<const char*, const char*> tools[] = {{"cuobjdump", "-sass"}, {"nvdisasm", "-c"}};
  for (const auto& [name, option] : tools) {
    const auto tool = find_tool(name);
    if (!tool) continue;
    FILE* pipe = ::popen((quoted(*tool) + " " + option + " " + quoted(cubin_path) + " 2>/dev/null").c_str(), "r");
    if (!pipe) continue;
    Disassembly out{name, ""};
    std::array<char, 1 << 16> part;
    for (std::size_t n; (n = std::fread(part.data(), 1, part.size(), pipe)) > 0;) out.text.append(part.data(), n);
    if (::pclose(pipe) == 0 && !parse_sass(out.text).empty()) return out;
  }
  return std::nullopt;
}

}  // namespace tecc
