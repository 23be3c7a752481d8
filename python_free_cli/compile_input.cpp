#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "ir/base/files.h"
#include "python_free_cli/options.h"

#ifndef TECC_SANITIZE
#define TECC_SANITIZE ""
#endif

/// A C++ file as input: the host compiler makes a shared library of it, a process of its own loads that and writes down what the
/// exported functions made (compiler/dsl_export.cpp). Nothing of the user's code runs in the tool: it may crash, print and exit, and
/// its C++ library may be a newer one than the tool's. The loader is compiled at the same time for that last reason.
namespace tecc::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr auto longest_run = std::chrono::seconds(10);  // of the functions; they only build expressions
constexpr std::size_t most_words = 16'384;              // of a compiler's messages, in bytes

constexpr const char* loader = R"(#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int, char** a) {
  void* library = dlopen(a[1], RTLD_LAZY);
  if (!library) { fprintf(stderr, "%s\n", dlerror()); return 1; }
  const char* (*kernels)() = reinterpret_cast<const char* (*)()>(dlsym(library, "tecc_exported_kernels"));
  FILE* out = fopen(a[2], "w");
  if (!out) { perror(a[2]); return 1; }
  fputs(kernels ? kernels() : "[]", out);
  if (fclose(out)) { perror(a[2]); return 1; }
  fflush(stdout);
  _exit(0);  // the library's own destructors are not asked for
}
)";

/// A folder that is gone afterwards, also when the user interrupts: signals wait until the work in it is done. (The processes that
/// work in it are interrupted at once.)
class Workshop {
 public:
  Workshop() {
    sigemptyset(&held_);
    for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held_, s);
    sigprocmask(SIG_BLOCK, &held_, &before_);
    std::error_code e;
    fs::path under = fs::temp_directory_path(e);
    std::string name = ((e ? fs::path("/tmp") : under) / "tecc-XXXXXX").string();
    if (::mkdtemp(name.data())) path_ = name;
    else path_.clear(), name_ = name;
  }
  ~Workshop() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  Check made() const { return path_.empty() ? Check(refuse(Code::file_unwritable, name_, std::strerror(errno))) : Check(Ok{}); }
  std::string at(const std::string& name) const { return path_ + "/" + name; }

  struct Ended {
    int status = 0;
    bool too_long = false;
    bool good() const { return !too_long && WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  };
  /// Runs a program with its stdout on our stderr, or both in `words`.
  Ended run(const std::vector<std::string>& command, const std::string& words, std::optional<std::chrono::seconds> limit) const {
    std::vector<char*> argv;
    for (const std::string& w : command) argv.push_back(const_cast<char*>(w.c_str()));
    argv.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int out = words.empty() ? STDERR_FILENO : ::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      sigprocmask(SIG_SETMASK, &before_, nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    Ended out;
    if (pid < 0) return {127 << 8};
    const auto end = std::chrono::steady_clock::now() + limit.value_or(std::chrono::hours(24 * 365));
    while (::waitpid(pid, &out.status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end && !out.too_long) ::kill(pid, SIGKILL), out.too_long = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return out;
  }

 private:
  std::string path_, name_;
  sigset_t held_, before_;
};

std::optional<std::string> program(const std::string& name) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0 ? std::optional(name) : std::nullopt;
  const char* path = std::getenv("PATH");
  std::stringstream folders(path ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const std::string full = folder + "/" + name; ::access(full.c_str(), X_OK) == 0) return full;
  return std::nullopt;
}

std::vector<std::string> words_of(const char* text) {
  std::stringstream in(text ? text : "");
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

/// $CXX, which may have arguments ("ccache g++"), or what is there.
Result<std::vector<std::string>> compiler(const std::string& file) {
  std::vector<std::string> own = words_of(std::getenv("CXX"));
  if (!own.empty()) {
    const auto found = program(own[0]);
    if (!found) return refuse(Code::no_host_compiler, file, fmt::format("CXX names '{}', which is no program here", own[0]));
    own[0] = *found;
    return own;
  }
  for (const char* name : {"c++", "g++", "clang++"})
    if (const auto found = program(name)) return std::vector{*found};
  return refuse(Code::no_host_compiler, file, "there is no c++, g++ or clang++ on the PATH; install one, or set CXX");
}

/// Headers and library of the DSL: in the build folder beside the tool, in an installation in the folders next to its own.
struct Dsl {
  std::string include, library;
};
Result<Dsl> dsl_of_this_tool(const std::string& file) {
  std::error_code e;
  const fs::path own = fs::read_symlink("/proc/self/exe", e).parent_path();
  std::string missing = "include/tecc/dsl.h";
  for (const fs::path& prefix : {own, own.parent_path()}) {
    if (!fs::exists(prefix / "include/tecc/dsl.h", e)) continue;
    for (const char* folder : {"", "lib", "lib64", "lib/x86_64-linux-gnu"})
      if (const fs::path library = prefix / folder / "libtecc_dsl.a"; fs::exists(library, e)) return Dsl{(prefix / "include").string(), library.string()};
    missing = "libtecc_dsl.a";
  }
  return refuse(Code::no_dsl, file, missing, own.string());
}

std::string text_of(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return "";
  return text->size() <= most_words ? *text : text->substr(0, most_words) + "\n...";
}

std::string ended_how(const Workshop::Ended& e) {
  if (e.too_long) return fmt::format("took longer than {} s", longest_run.count());
  if (WIFSIGNALED(e.status)) return fmt::format("was ended by signal {} ({})", WTERMSIG(e.status), ::strsignal(WTERMSIG(e.status)));
  return fmt::format("ended with exit code {}", WEXITSTATUS(e.status));
}

/// Compiles and runs; what the exported functions made. E0601 E0602 E0620..E0623.
Result<Json> kernels_of(const std::string& file) {
  if (const auto there = read_file(file); !there) return there.error();  // before a compiler says so
  TECC_TRY(const std::vector<std::string> cxx, compiler(file));
  TECC_TRY(const Dsl dsl, dsl_of_this_tool(file));
  const Workshop here;
  TECC_CHECK(here.made());
  const auto compile = [&](const std::string& from, const std::vector<std::string>& options) -> Check {
    std::vector<std::string> command = cxx;
    for (const char* o : {"-std=c++20", "-O0"}) command.push_back(o);
    if (*TECC_SANITIZE) command.push_back("-fsanitize=" TECC_SANITIZE);
    for (const std::string& o : words_of(std::getenv("CXXFLAGS"))) command.push_back(o);
    command.push_back(from);
    command.insert(command.end(), options.begin(), options.end());
    if (here.run(command, here.at("words"), std::nullopt).good()) return Ok{};
    std::string words = text_of(here.at("words"));
    while (words.ends_with('\n')) words.pop_back();
    return refuse(Code::host_compile_failed, file, words.empty() ? "(it said nothing)" : words);
  };
  TECC_CHECK(compile(file, {"-fPIC", "-shared", "-isystem", dsl.include, "-isystem", dsl.include + "/tecc", dsl.library, "-o", here.at("kernels.so")}));
  TECC_CHECK(write_file(here.at("load.cpp"), loader));
  TECC_CHECK(compile(here.at("load.cpp"), {"-ldl", "-o", here.at("load")}));
  const Workshop::Ended ended = here.run({here.at("load"), here.at("kernels.so"), here.at("kernels.json")}, "", longest_run);
  const auto text = read_file(here.at("kernels.json"));
  Json made = text && ended.good() ? Json::parse(*text, nullptr, false) : Json();
  if (!made.is_array()) return refuse(Code::host_program_failed, file, ended_how(ended));
  if (made.empty()) return refuse(Code::nothing_exported, file);
  return made;
}

CallSite site_of(const Json& place) { return {intern(place.at(0).get<std::string>().c_str()), place.at(1).get<std::uint32_t>(), 0}; }

Refusal refusal_of(const Json& j) {
  Refusal out{static_cast<Code>(j.at("code").get<int>()), {}, site_of(j.at("place"))};
  for (std::size_t n = 0; n < out.args.size(); ++n) {
    const Json& a = j.at("args").at(n);
    if (a.is_number()) out.args[n] = a.get<std::int64_t>();
    else if (a.is_string()) out.args[n] = a.get<std::string>();
  }
  if (!*out.at.file) out.at = {};
  return out;
}

/// Where the parts of the printed text were made, and the texts of those files.
void add_origins(Source& source, const Json& kernel) {
  const auto parsed = te::parse(source);
  if (!parsed) return;  // reported by whoever parses it next
  const te::Kernel& k = parsed->front();
  source.origins.push_back({{source.name, 1, 1}, site_of(kernel.at("place"))});
  const auto add = [&](const std::string& name, CallSite at) {
    if (const auto place = kernel.at("places").find(name); place != kernel.at("places").end()) source.origins.push_back({at, site_of(*place)});
  };
  for (const te::Variable& v : k.variables)
    if (v.kind == te::VarKind::let) add(v.name, v.at);
  for (TensorId t : k.inputs) add(k[t].name, k[t].at);
  for (const te::Stage& s : k.stages) add(k[s.tensor].name, s.at);
  std::sort(source.origins.begin(), source.origins.end(),
            [](const auto& a, const auto& b) { return std::tie(a.in_text.line, a.in_text.column) < std::tie(b.in_text.line, b.in_text.column); });
}
void add_file(Source& source, const char* file) {
  if (!file || source.files.count(file)) return;
  if (auto text = read_file(file)) source.files[file] = *std::move(text);
}

}  // namespace

bool is_cpp(const std::string& path) {
  const std::string end = fs::path(path).extension().string();
  return end == ".cpp" || end == ".cc" || end == ".cxx" || end == ".C";
}

std::optional<Source> compile_input(const Input& in) {
  const auto kernels = kernels_of(in.path);
  if (!kernels) return fail(kernels.error(), in), std::nullopt;
  const Json* chosen = nullptr;
  std::string names;
  for (const Json& k : *kernels) {
    const std::string function = k.at("function").get<std::string>(), name = k.value("kernel", function);
    names += (names.empty() ? "" : ", ") + name;
    if (in.kernel.empty() ? kernels->size() == 1 : name == in.kernel) chosen = &k;
  }
  if (!chosen) return fail(refuse(Code::which_kernel, in.path, in.kernel, names), in), std::nullopt;
  Source source{intern((in.path + " as text").c_str()), chosen->value("text", "")};
  if (chosen->contains("refusal")) {
    const Refusal why = refusal_of(chosen->at("refusal"));
    add_file(source, why.at.file);
    return fail(why, in, &source), std::nullopt;
  }
  if (chosen->contains("threw")) {
    const std::string how = fmt::format("threw '{}' in '{}'", chosen->at("threw").get<std::string>(), chosen->at("function").get<std::string>());
    return fail(refuse(Code::host_program_failed, in.path, how), in), std::nullopt;
  }
  add_origins(source, *chosen);
  for (const Source::Origin& o : source.origins) add_file(source, o.at.file);
  return source;
}

}  // namespace tecc::cli
