#include "codegen/cuda/nvrtc.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <regex>
#include <sstream>

#include "ir/base/shared_library.h"

namespace tecc {
namespace {

// The few entry points of nvrtc.h that are used; results are 0 on success.
struct Nvrtc {
  using Program = void*;
  int (*version)(int*, int*) = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
  int (*destroy)(Program*) = nullptr;
  int (*compile)(Program, int, const char* const*) = nullptr;
  int (*log_size)(Program, std::size_t*) = nullptr;
  int (*log)(Program, char*) = nullptr;
  int (*ptx_size)(Program, std::size_t*) = nullptr;
  int (*ptx)(Program, char*) = nullptr;
  int (*cubin_size)(Program, std::size_t*) = nullptr;
  int (*cubin)(Program, char*) = nullptr;
  std::string missing;  // why it cannot be used; empty when it can
};

Nvrtc open_nvrtc() {
  const char* home = std::getenv("CUDA_HOME");
  const SharedLibrary library({"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"},
                              {home ? std::string(home) + "/lib64" : std::string(), "/usr/local/cuda/lib64"});
  Nvrtc n;
  if (!library) return n.missing = library.error(), n;
  const bool whole = library.find("nvrtcVersion", n.version) && library.find("nvrtcGetErrorString", n.error_string) &&
                     library.find("nvrtcCreateProgram", n.create) && library.find("nvrtcDestroyProgram", n.destroy) &&
                     library.find("nvrtcCompileProgram", n.compile) &&
                     library.find("nvrtcGetProgramLogSize", n.log_size) && library.find("nvrtcGetProgramLog", n.log) &&
                     library.find("nvrtcGetPTXSize", n.ptx_size) && library.find("nvrtcGetPTX", n.ptx) &&
                     library.find("nvrtcGetCUBINSize", n.cubin_size) && library.find("nvrtcGetCUBIN", n.cubin);
  if (!whole) return n.missing = "libnvrtc.so is older than 11.1 and gives no cubin", n;
  // NVRTC opens its built-in headers by their bare name; a toolkit that the loader does not know (/usr/local/cuda without an
  // entry for ldconfig) would not give them. Without the file there, NVRTC's own words come out with the program that needs it.
  int major = 0, minor = 0;
  n.version(&major, &minor);
  library.open_beside(fmt::format("libnvrtc-builtins.so.{}.{}", major, minor));
  return n;
}

const Nvrtc& nvrtc() {
  static const Nvrtc table = open_nvrtc();  // opened once, at the first use, by whichever thread comes first
  return table;
}

/// One of NVRTC's pairs "size of X", "X".
std::string text_of(Nvrtc::Program program, int (*size)(Nvrtc::Program, std::size_t*),
                    int (*get)(Nvrtc::Program, char*)) {
  std::size_t bytes = 0;
  if (size(program, &bytes) != 0 || bytes == 0) return {};
  std::string out(bytes, '\0');
  return get(program, out.data()) == 0 ? out : std::string();
}

std::string without_nul(std::string text) {
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

/// What a person needs of a log of perhaps thousands of lines: the first few errors, each with the source line below it.
std::string first_errors(const std::string& log) {
  constexpr int most = 3;
  const auto is_error =
      [](const std::string& line) {  // "f.cu(1): error: ...", "ptxas error   : ...", "ptxas fatal   : ...", "ptxas application ptx input, line 1; fatal   : ..."
        return line.find("error:") != std::string::npos || line.starts_with("ptxas error") ||
               line.starts_with("ptxas fatal") || line.find("; fatal") != std::string::npos;
      };
  std::istringstream lines(log);
  std::string out, line;
  int found = 0;
  bool after_error = false;
  while (std::getline(lines, line)) {
    const bool error = is_error(line);
    if (error && ++found > most) break;
    if (error || (after_error && !line.empty())) out += (out.empty() ? "  " : "\n  ") + line;
    after_error = error;
  }
  return out;
}

class Program {
 public:
  Program(const std::string& source, const std::string& name) {
    result_ = nvrtc().create(&handle_, source.c_str(), name.c_str(), 0, nullptr, nullptr);
  }
  ~Program() {
    if (handle_) nvrtc().destroy(&handle_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  int result() const { return result_; }
  Nvrtc::Program handle() const { return handle_; }

 private:
  Nvrtc::Program handle_ = nullptr;
  int result_ = 0;
};

}  // namespace

bool nvrtc_available() { return nvrtc().missing.empty(); }

std::string nvrtc_path() {
  Dl_info where{};
  return nvrtc_available() && ::dladdr(reinterpret_cast<void*>(nvrtc().version), &where) && where.dli_fname ? where.dli_fname : "";
}

Result<std::pair<int, int>> nvrtc_version() {
  if (!nvrtc_available()) return refuse(Code::no_nvrtc, nvrtc().missing);
  std::pair<int, int> v;
  nvrtc().version(&v.first, &v.second);
  return v;
}

Result<Compiled> compile(const std::string& source, const std::string& name, const std::string& arch,
                         const NvrtcOptions& options) {
  if (!nvrtc_available()) return refuse(Code::no_nvrtc, nvrtc().missing);
  const Nvrtc& n = nvrtc();
  const Program program(source, name);
  if (program.result() != 0)
    return refuse(Code::nvrtc_failed, name, arch, "  " + std::string(n.error_string(program.result())));

  std::vector<std::string> flags = {"--gpu-architecture=" + arch, "--std=c++20", "-Xptxas=-v"};
  flags.insert(flags.end(), options.flags.begin(), options.flags.end());
  std::vector<const char*> pointers;
  for (const std::string& f : flags) pointers.push_back(f.c_str());
  const int result = n.compile(program.handle(), static_cast<int>(pointers.size()), pointers.data());

  Compiled out;
  out.log = without_nul(text_of(program.handle(), n.log_size, n.log));
  if (result != 0) {
    std::string why = first_errors(out.log);
    if (why.empty()) why = "  " + (out.log.empty() ? std::string(n.error_string(result)) : out.log);
    return refuse(Code::nvrtc_failed, name, arch, why);
  }
  if (!arch.starts_with("compute_")) out.cubin = text_of(program.handle(), n.cubin_size, n.cubin);
  if (options.want_ptx) out.ptx = without_nul(text_of(program.handle(), n.ptx_size, n.ptx));
  out.kernels = parse_ptxas_log(out.log);
  for (const char* advisory : {"C7504", "C7508", "C7510", "C7520"})
    out.poisoned = out.poisoned || out.log.find(advisory) != std::string::npos;
  return out;
}

std::vector<KernelResources> parse_ptxas_log(const std::string& log) {
  static const std::regex entry("Compiling entry function '([^']+)'");
  static const std::regex frame("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
  static const std::regex registers("Used (\\d+) registers");
  static const std::regex barriers("used (\\d+) barriers");
  static const std::regex shared("(\\d+) bytes smem");
  std::vector<KernelResources> out;
  std::istringstream lines(log);
  std::string line;
  while (std::getline(lines, line)) {
    std::smatch m;
    const auto number = [&](int group) {  // what does not fit is none of ptxas's numbers
      int out = 0;
      std::from_chars(&*m[group].first, &*m[group].first + m[group].length(), out);
      return out;
    };
    if (std::regex_search(line, m, entry)) out.push_back({m[1].str()});
    if (out.empty()) continue;
    KernelResources& k = out.back();
    if (std::regex_search(line, m, frame)) {
      k.stack_bytes = number(1);
      k.spill_store_bytes = number(2);
      k.spill_load_bytes = number(3);
    }
    if (std::regex_search(line, m, registers)) k.registers = number(1);
    if (std::regex_search(line, m, barriers)) k.barriers = number(1);
    if (std::regex_search(line, m, shared)) k.shared_bytes = number(1);
  }
  return out;
}

}  // namespace tecc
