#include <filesystem>
#include <fstream>

#include "compiler/dsl.h"
#include "tests/support/tool.h"

using namespace tecc;
using test::parsed;
using test::tool;

namespace {

/// A file in a folder of its own, so that messages name it by its bare name.
struct File {
  TemporaryFolder folder;
  explicit File(const std::string& body) { std::ofstream(folder.path + "/op.cpp") << "#include <tecc/dsl.h>\nusing namespace tecc::dsl;\n" << body; }
  test::Ran tool(const std::string& command, const std::string& options = "", const std::string& environment = "") const {
    return test::shell(environment + " XDG_DATA_HOME=/nonexistent HOME=/nonexistent " TECC_BINARY_DIR "/tecc " + command + " op.cpp " + options, folder.path);
  }
};

const char* const doubled = R"(te::Kernel doubled() {
  Kernel g("twice");
  const Value N = g.dim("N");
  const Tensor X = g.input("X", f32, {N});
  const Axis i("i", N);
  return std::move(g).outputs({g.stage("Y", {i}, X(i) * 2)}).or_throw();
}
TECC_EXPORT(doubled)
)";

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  return text.substr(text.rfind('\n', end) + 1, end - text.rfind('\n', end));
}

}  // namespace

TEST_CASE("a C++ file means what its printed text means, in every command") {
  const std::string file = TECC_SOURCE_DIR "/examples/05_operator_file.cpp --kernel gemm_bias_relu --dims M=8,N=12,K=16 --types T=f32 ";
  const TemporaryFolder f;
  const auto built = parsed(tool("build " + file + "--target=llvm --json --out-dir " + f.path));
  CHECK(test::read_file(f.path + "/gemm_bias_relu.te") ==
        "kernel gemm_bias_relu<T>(A: T[M, K], B: T[N, K], bias: T[N]) -> (C) {\n"
        "  x[i: M, j: N] = sum[k: K](f32(A[i, k]) * f32(B[j, k])) + f32(bias[j])\n"
        "  C[i: M, j: N] = T(max(x[i, j], 0))\n"
        "}\n");
  const auto text = parsed(tool("check " + f.path + "/gemm_bias_relu.te --dims M=8,N=12,K=16 --types T=f32 --json"));
  CHECK(built["hash"] == text["hash"]);
  const test::Ran run = tool("run " TECC_SOURCE_DIR "/examples/05_operator_file.cpp --kernel polynomial --dims N=100 --target=llvm --verify");
  INFO(run.err);
  CHECK(run.code == 0);
  CHECK(last_line(run.out) == "verified against the reference interpreter");
  const test::Ran tune = tool("tune " TECC_SOURCE_DIR "/examples/05_operator_file.cpp --kernel polynomial --dims N=100 --target=llvm --trials 2 --records " + f.path + "/r.db");
  INFO(tune.err);
  CHECK(tune.code == 0);
  CHECK(tune.out.starts_with("polynomial N=100"));
}

TEST_CASE("a C++ file: errors show the stage's line and the printed term") {
  const File wrong(R"(te::Kernel shifted() {
  Kernel g("shifted");
  const Value N = g.dim("N");
  const Tensor X = g.input("X", f32, {N});
  const Axis i("i", N);
  const Tensor a = g.stage("a", {i}, exp(X(i)));
  const Tensor Y = g.stage("Y", {i},
                           a(i) + X(i + 1));
  return std::move(g).outputs({Y}).or_throw();
}
TECC_EXPORT(shifted)
)");
  const test::Ran r = wrong.tool("check", "--dims N=8");
  CHECK(r.code == 1);
  CHECK(r.err ==
        "op.cpp:9: error E0240: 'X' reads dimension 0 of its shape [8] at 'i + 1', which runs from 1 to 8; allowed is 0 to 7; write X[...] else 0 if a value outside is meant\n"
        "    const Tensor Y = g.stage(\"Y\", {i},\n"
        "    Y[i: N] = a[i] + X[i + 1]\n"
        "                         ^\n");
  const auto json = parsed(wrong.tool("check", "--dims N=8 --json"))["error"];
  CHECK(json["file"] == "op.cpp");
  CHECK(json["line"] == 9);
  CHECK_FALSE(json.contains("column"));
  CHECK(wrong.tool("check", "").err == "op.cpp:6: error E0203: dim 'N' has no value; add N=... to --dims\n    const Tensor X = g.input(\"X\", f32, {N});\n  kernel shifted(X: f32[N]) -> (Y) {\n                        ^\n");
}

TEST_CASE("a C++ file: what the DSL itself refuses has its number and line") {
  const File wrong(R"(te::Kernel odd() {
  Kernel g("odd");
  const Value N = g.dim("N");
  const Tensor X = g.input("X", f32, {N});
  const Axis i("not a name", N);
  return std::move(g).outputs({g.stage("Y", {i}, X(i))}).or_throw();
}
TECC_EXPORT(odd)
)");
  CHECK(wrong.tool("check", "--dims N=8").err ==
        "op.cpp:7: error E0109: 'not a name' is not a name; use letters, digits and _, beginning with a letter or _\n    const Axis i(\"not a name\", N);\n");
}

TEST_CASE("a C++ file: several kernels, one that fails, output of its own, a main") {
  const File two(std::string("#include <cstdio>\n#include <stdexcept>\n") + doubled + R"(
tecc::Result<te::Kernel> halved() {
  std::puts("this does not belong into the tool's output");
  Kernel g("halved");
  const Value N = g.dim("N");
  const Tensor X = g.input("X", f32, {N});
  const Axis i("i", N);
  return std::move(g).outputs({g.stage("Y", {i}, X(i) / 2)});
}
TECC_EXPORT(halved)
te::Kernel angry() { throw std::out_of_range("no such coefficient"); }
TECC_EXPORT(angry)
int main() { return 7; }
)");
  CHECK(parsed(two.tool("check", "--kernel halved --dims N=8 --json"))["kernel"] == "halved");
  CHECK(two.tool("check", "--kernel angry --dims N=8").err.ends_with("error E0623: 'op.cpp' threw 'no such coefficient' in 'angry' while it made its kernels\n"));
  CHECK(two.tool("check", "--dims N=8").err.ends_with("error E0290: 'op.cpp' has no kernel ''; it has twice, halved, angry; choose one with --kernel\n"));
}

TEST_CASE("a C++ file: nothing exported, a compiler's error, no compiler") {
  const File nothing("te::Kernel forgotten();\n");
  CHECK(nothing.tool("check").err == "error E0117: 'op.cpp' exports no kernel; write TECC_EXPORT(name) after each function that makes one\n");
  const File broken("te::Kernel broken() { return 3 }\nTECC_EXPORT(broken)\n");
  const test::Ran r = broken.tool("check");
  CHECK(r.code == 1);
  CHECK(r.err.starts_with("error E0621: the C++ compiler refused 'op.cpp':\nop.cpp:"));
  CHECK(r.err.find("op.cpp:3:") != std::string::npos);
  CHECK(nothing.tool("check", "", "CXX=/nowhere/c++").err == "error E0620: 'op.cpp' needs a C++ compiler: CXX names '/nowhere/c++', which is no program here\n");
  CHECK(nothing.tool("check", "", "CXX= PATH=/nowhere").err ==
        "error E0620: 'op.cpp' needs a C++ compiler: there is no c++, g++ or clang++ on the PATH; install one, or set CXX\n");
  CHECK(tool("check nowhere.cpp").err == "error E0601: cannot read 'nowhere.cpp': No such file or directory\n");
}

TEST_CASE("a C++ file: a crash, an exit and an endless loop end the file's process, not the tool") {
  const auto says = [](const std::string& statement) {
    const File f("#include <cstdlib>\n#include <unistd.h>\nte::Kernel bad() { " + statement + "; return {}; }\nTECC_EXPORT(bad)\n");
    const test::Ran r = f.tool("check");
    CHECK(r.code == 1);
    return r.err;
  };
  CHECK(says("std::abort()").ends_with("error E0623: 'op.cpp' was ended by signal 6 (Aborted) while it made its kernels\n"));
  CHECK(says("std::exit(3)").ends_with("error E0623: 'op.cpp' ended with exit code 3 while it made its kernels\n"));
  CHECK(says("for (;;) pause()").ends_with("error E0623: 'op.cpp' took longer than 10 s while it made its kernels\n"));
}

TEST_CASE("a C++ file leaves nothing in the temporary folder") {
  const File f(doubled);
  const TemporaryFolder scratch;
  const test::Ran r = f.tool("check", "--dims N=8", "TMPDIR=" + scratch.path);
  INFO(r.err);
  CHECK(r.code == 0);
  CHECK(std::filesystem::is_empty(scratch.path));
  CHECK(f.tool("check", "--dims N=8", "TMPDIR=/nonexistent").code == 0);  // what is no folder is not taken
}

TEST_CASE("a C++ file needs the headers beside the tool") {
  const File f(doubled);
  std::filesystem::copy_file(TECC_BINARY_DIR "/tecc", f.folder.path + "/tecc");
  CHECK(test::shell("./tecc check op.cpp --dims N=8", f.folder.path).err ==
        "error E0622: 'op.cpp' needs include/tecc/dsl.h, which is not beside this tool in '" + f.folder.path + "'\n");
  std::filesystem::create_directories(f.folder.path + "/include/tecc");
  std::ofstream(f.folder.path + "/include/tecc/dsl.h") << "\n";
  CHECK(test::shell("./tecc check op.cpp --dims N=8", f.folder.path).err ==
        "error E0622: 'op.cpp' needs libtecc_dsl.a, which is not beside this tool in '" + f.folder.path + "'\n");
}
