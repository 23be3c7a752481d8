#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>

#include "codegen/target.h"
#include "tests/support/tool.h"

/// A device file says what a device can do; lowering believes it.
using namespace tecc;
using test::check_wrong;
using test::tool;

namespace {

const std::string cases = TECC_SOURCE_DIR "/examples/cases/";
const std::string tensor_cores = " --schedule " TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule";
const std::string gemm = cases + "gemm.te --dims M=512,N=512,K=256 --types T=bf16 --emit=cuda,json";
const std::string small = cases + "gemm.te --dims M=48,N=32,K=64 --types T=bf16 --verify --simulate";

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
/// targets/sm_90a.json with one piece replaced; the piece must be there.
std::string edited(const std::string& piece, const std::string& by) {
  std::string text = test::read_file(TECC_SOURCE_DIR "/targets/sm_90a.json");
  const std::size_t at = text.find(piece);
  REQUIRE(at != std::string::npos);
  return text.replace(at, piece.size(), by);
}

}  // namespace

TEST_CASE("device files: those in targets/ are the known devices, whole") {
  std::size_t files = 0;
  for (const codegen::Target& t : codegen::known_targets()) {
    const std::string path = TECC_SOURCE_DIR "/targets/" + t.arch + ".json";
    INFO(path);
    REQUIRE(std::filesystem::exists(path));
    ++files;
    CHECK(test::read_file(path) == codegen::device_file(t));
    const codegen::Target again = test::require(codegen::find_target(path));
    CHECK(codegen::device_file(again) == codegen::device_file(t));
    CHECK(tool("devices --spec=" + t.arch).out == codegen::device_file(t));
  }
  const std::filesystem::directory_iterator all(TECC_SOURCE_DIR "/targets");
  CHECK(static_cast<std::size_t>(std::count_if(begin(all), end(all), [](const auto& f) { return f.is_regular_file(); })) == files);
}

TEST_CASE("device files: a file without a list of instructions has those of its architecture") {
  const TemporaryFolder f;
  for (const codegen::Target& t : codegen::known_targets()) {
    write(f.path + "/d.json", "{\"arch\": \"" + t.arch + "\"}");
    CHECK(tool("devices --spec=" + f.path + "/d.json").out == codegen::device_file(t));
  }
  // Which instructions came when.
  const auto lists = [](const std::string& arch, const std::string& name) { return test::require(codegen::find_target(arch)).limits.has(name); };
  CHECK(lists("sm_90a", "wgmma.k16.f32.bf16.bf16"));
  CHECK_FALSE(lists("sm_90", "wgmma.k16.f32.bf16.bf16"));
  CHECK_FALSE(lists("sm_100a", "wgmma.k16.f32.bf16.bf16"));
  CHECK(lists("sm_90", "bulk_tensor"));
  CHECK_FALSE(lists("sm_89", "bulk_tensor"));
  CHECK(lists("sm_80", "cp_async"));
  CHECK_FALSE(lists("sm_75", "cp_async"));
  CHECK(lists("sm_75", "ldmatrix"));
}

TEST_CASE("device files: with half of the shared memory a legal schedule is refused, and another one runs") {
  const TemporaryFolder f;
  const std::string half = " --arch=" + f.path + "/half.json";
  write(f.path + "/half.json", edited("\"shared_bytes_per_block\": 232448", "\"shared_bytes_per_block\": 116224"));
  const test::Ran whole = tool("build " + gemm + tensor_cores + " --arch=" TECC_SOURCE_DIR "/targets/sm_90a.json --out-dir " + f.path + "/a");
  INFO(whole.err);
  CHECK(whole.code == 0);
  check_wrong({{"build " + gemm + tensor_cores + half + " --out-dir " + f.path + "/b", 1, "error E0405: kernel 'gemm' needs 229440 bytes of shared memory > 116224 bytes a block"}});
  CHECK_FALSE(std::filesystem::exists(f.path + "/b"));
  CHECK(tool("build " + gemm + half + " --out-dir " + f.path + "/c").code == 0);
  CHECK(tool("run " + small + half).out.find("verified") != std::string::npos);
}

TEST_CASE("device files: without one of its instructions a schedule is refused with the instruction's name") {
  const TemporaryFolder f;
  const std::string lacks = " --arch=" + f.path + "/lacks.json --out-dir " + f.path + "/a";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"wgmma.k16.f32.bf16.bf16", "error E0430: 'C.sum' needs the instruction wgmma.k16.f32.bf16.bf16, which this sm_90a does not have; legal: other types, or no tensorize: plain loops"},
      {"stmatrix", "error E0430: 'C' needs the instruction stmatrix, which this sm_90a does not have; legal: no copy_with: threads store"},
      {"bulk_tensor", "error E0430: 'A.shared' needs the instruction bulk_tensor, which this sm_90a does not have; legal: no copy_with: threads copy"},
      {"mbarrier", "error E0430: the pipeline of 'A.shared' needs the instruction mbarrier, which this sm_90a does not have; legal: no specialize, and pipelines of plain copies with 2 slots"},
      {"setmaxnreg", "error E0430: role 1 with registers=40 needs the instruction setmaxnreg, which this sm_90a does not have; legal: roles with registers=0"},
  };
  for (const auto& [name, says] : rows) {
    // The last one of a list has no comma behind it.
    const std::string quoted = "\"" + name + "\"", text = test::read_file(TECC_SOURCE_DIR "/targets/sm_90a.json");
    write(f.path + "/lacks.json", text.find(quoted + ",") != std::string::npos ? edited(quoted + ",", "") : std::regex_replace(text, std::regex(",\\s*" + quoted), ""));
    check_wrong({{"build " + gemm + tensor_cores + lacks, 1, says}});
    CHECK(tool("build " + gemm + lacks).code == 0);
    CHECK((test::read_file(f.path + "/a/gemm.cu").find("wgmma.mma_async") == std::string::npos) == (name != "stmatrix"));  // stmatrix alone it can do without
    CHECK(tool("run " + small + " --arch=" + f.path + "/lacks.json").out.find("verified") != std::string::npos);
  }
  // A schedule with clusters needs two more.
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule");
  write(f.path + "/cluster.schedule", std::regex_replace(text, std::regex("g = raster\\(i0, j0, group=8\\)"), "jc, rank = cluster(j0, 2); g = raster(i0, jc, group=8)"));
  for (const char* name : {"cluster", "multicast"}) {
    write(f.path + "/lacks.json", edited("\"" + std::string(name) + "\",", ""));
    check_wrong({{"build " + gemm + " --schedule " + f.path + "/cluster.schedule" + lacks, 1, std::string("needs the instruction ") + name + ", which this sm_90a does not have; legal: no cluster step"}});
    CHECK(tool("build " + gemm + tensor_cores + lacks).code == 0);
  }
  // Another architecture has what came with it.
  check_wrong({{"build " + gemm + tensor_cores + " --arch=sm_80 --out-dir " + f.path + "/b", 1, "E0430: 'A.shared' needs the instruction bulk_tensor, which this sm_80 does not have"}});
}

TEST_CASE("device files: what is wrong with one") {
  const TemporaryFolder f;
  const auto says = [&](const std::string& text, const std::string& what) {
    write(f.path + "/d.json", text);
    check_wrong({{"devices --spec=" + f.path + "/d.json", 1, what}});
  };
  says("{", "d.json' is not one JSON object");
  says("{\"sm_count\": 4}", "d.json' names no \"arch\"; known: sm_75, ");
  says("{\"arch\": \"sm_1\"}", "E0414: unknown architecture 'sm_1'");
  says("{\"arch\": \"sm_90a\", \"sm_coumt\": 4}", "error E0431: device file '" + f.path + "/d.json' has a key 'sm_coumt' that says nothing; did you mean 'sm_count'?");
  says("{\"arch\": \"sm_90a\", \"sm_count\": \"4\"}", "gives \"4\" for 'sm_count', which is a whole number above 0");
  says("{\"arch\": \"sm_90a\", \"sm_count\": 0}", "gives 0 for 'sm_count', which is a whole number above 0");
  says("{\"arch\": \"sm_90a\", \"memory_gbs\": -1}", "gives -1 for 'memory_gbs', which is a number above 0");
  says("{\"arch\": \"sm_90a\", \"instructions\": \"wgmma\"}", "has 'instructions' that are no list of names");
  says("{\"arch\": \"sm_90a\", \"instructions\": [\"stmatrx\"]}", "lists 'stmatrx', which is no instruction; did you mean 'stmatrix'?");
  says("{\"arch\": \"sm_90a\", \"instructions\": [4]}", "lists '4', which is no instruction");
  check_wrong({{"devices --spec=" + f.path + "/nowhere.json", 1, "E0601"}, {"devices --spec=cpu", 1, "E0414"}, {"devices --spec=sm_1 --json", 1, "E0414"}});
}

TEST_CASE("device files: kernels after the first begin early where the device can do that") {
  const TemporaryFolder f;
  write(f.path + "/parts.schedule", "split_reduction(C.sum.k, 2)\n");
  const std::string build = "build " + gemm + " --schedule " + f.path + "/parts.schedule --out-dir " + f.path;
  const auto has = [&](const std::string& file, const std::string& what) { return test::read_file(f.path + file).find(what) != std::string::npos; };
  CHECK(tool(build + "/a --arch=sm_90a").code == 0);
  CHECK(has("/a/gemm.json", "\"programmatic_dependent\": true"));
  CHECK(has("/a/gemm.cu", "tecc_await_kernel();"));
  CHECK(has("/a/gemm.cu", "tecc_launch_next();"));
  // The second stage has nothing to do with the first: its kernel waits last. The third one's reads what both made.
  write(f.path + "/two.te", "kernel two(A: f32[N], B: f32[N]) -> (C) { a[i: N] = A[i] + 1 b[i: N] = B[i] + 1 C[i: N] = a[i] * b[N - 1 - i] }");
  CHECK(tool("build " + f.path + "/two.te --dims N=1024 --schedule=naive --emit=cuda --arch=sm_90a --out-dir " + f.path + "/c").code == 0);
  const std::string text = test::read_file(f.path + "/c/two.cu"), second = text.substr(text.find("two_1(")), third = second.substr(second.find("two_2("));
  CHECK(second.find("tecc_await_kernel();\n}") < second.find("two_2("));
  CHECK(third.find("{\n  tecc_await_kernel();") != std::string::npos);
  CHECK(tool(build + "/b --arch=sm_80").code == 0);
  CHECK_FALSE(has("/b/gemm.json", "\"programmatic_dependent\": true"));
  CHECK_FALSE(has("/b/gemm.cu", "griddepcontrol"));
}
