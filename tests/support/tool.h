#pragma once
#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/te.h"
#include "tests/support/temporary_folder.h"

/// Runs the built tool as a user would.
namespace tecc::test {

struct Ran {
  int code = -1;
  std::string out, err;
};

/// A shell command in `folder`; stdout and stderr apart.
inline Ran shell(const std::string& command, const std::string& folder = ".") {
  const TemporaryFolder f;
  const std::string err = f.path + "/err";
  FILE* pipe = ::popen(("cd '" + folder + "' && ( " + command + " ) 2>'" + err + "'").c_str(), "r");
  REQUIRE(pipe);
  Ran out;
  std::array<char, 4096> block;
  for (std::size_t n; (n = std::fread(block.data(), 1, block.size(), pipe)) > 0;) out.out.append(block.data(), n);
  const int status = ::pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  out.err = read_file(err);
  return out;
}

/// `tecc ARGUMENTS`, with records and settings of the user out of the way.
inline Ran tool(const std::string& arguments, const std::string& folder = ".") {
  return shell("XDG_DATA_HOME=/nonexistent HOME=/nonexistent " TECC_BINARY_DIR "/tecc " + arguments, folder);
}

/// Arguments for a product of 64x64 matrices, a kernel named mm.
inline const std::string mm = "-e 'kernel mm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }' --dims M=64,N=64,K=64 ";

inline nlohmann::json parsed(const Ran& r) {
  INFO(r.out << r.err);
  auto j = nlohmann::json::parse(r.out, nullptr, false);
  REQUIRE_FALSE(j.is_discarded());
  return j;
}

/// Commands that must fail, each with its exit code and a piece of what it says.
struct Wrong {
  std::string arguments;
  int code;
  std::string says;
};
inline void check_wrong(const std::vector<Wrong>& rows) {
  for (const Wrong& w : rows) {
    INFO("tecc " << w.arguments);
    const Ran r = tool(w.arguments);
    INFO(r.out << r.err);
    CHECK(r.code == w.code);
    CHECK(r.err.find(w.says) != std::string::npos);
  }
}

}  // namespace tecc::test
