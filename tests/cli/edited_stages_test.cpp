#include <filesystem>
#include <fstream>

#include "codegen/cuda/nvrtc.h"
#include "tests/support/tool.h"

using namespace tecc;
using test::check_wrong;
using test::parsed;
using test::tool;

namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
/// The text of a file with one piece replaced; the piece must be there.
std::string edited(const std::string& path, const std::string& piece, const std::string& by) {
  std::string text = test::read_file(path);
  const std::size_t at = text.find(piece);
  INFO(text);
  REQUIRE(at != std::string::npos);
  return text.replace(at, piece.size(), by);
}
const std::string expression = "-e 'kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2 + 1 }' --dims N=64 ";
const std::string gpu = expression + "--arch=sm_90a ";
const std::string text_only = "--emit=cuda,json ";

}  // namespace

TEST_CASE("cli: compile from an edited stage") {
  const TemporaryFolder f;
  const std::string d = f.path + "/d/";
  REQUIRE(tool("build " + gpu + text_only + "--schedule naive --dump-ir=" + d + " -o " + f.path + "/a").code == 0);
  for (const char* stage : {"00_scheduled.ir", "12_place_buffers.ir", "15_lower_events.ir", "k.cu"}) {
    INFO(stage);
    CHECK(tool("build " + gpu + text_only + "--compile-from=" + d + stage + " -o " + f.path + "/b").code == 0);
    CHECK(test::read_file(f.path + "/b/k.cu") == test::read_file(f.path + "/a/k.cu"));
    // A renamed file says itself what it is.
    std::filesystem::copy_file(d + stage, f.path + "/renamed", std::filesystem::copy_options::overwrite_existing);
    CHECK(tool("build " + gpu + text_only + "--compile-from=" + f.path + "/renamed -o " + f.path + "/c").code == 0);
    CHECK(test::read_file(f.path + "/c/k.cu") == test::read_file(f.path + "/a/k.cu"));
  }
  // An edited constant shows up, in the text and in what the program does.
  write(f.path + "/edited.ir", edited(d + "12_place_buffers.ir", "X[i] * 2", "X[i] * 5"));
  CHECK(tool("build " + gpu + text_only + "--compile-from=" + f.path + "/edited.ir -o " + f.path + "/e").code == 0);
  CHECK(test::read_file(f.path + "/e/k.cu").find("* 5") != std::string::npos);
  CHECK(tool("run " + gpu + "--simulate --verify --compile-from=" + d + "12_place_buffers.ir").out.find("verified") != std::string::npos);
  check_wrong({{"run " + gpu + "--simulate --verify --compile-from=" + f.path + "/edited.ir", 1, "E0524"}});
  // The artifact has no schedule that did not make it.
  CHECK_FALSE(std::filesystem::exists(f.path + "/e/k.schedule"));
  CHECK(parsed(tool("build " + gpu + text_only + "--json --compile-from=" + d + "k.cu -o " + f.path + "/g"))["files"].size() == 3);
  // Of several architectures, a folder each.
  CHECK(tool("build " + expression + "--arch=sm_80,sm_90a " + text_only + "--schedule naive --dump-ir=" + f.path + "/two -o " + f.path + "/i").code == 0);
  for (const char* arch : {"sm_80", "sm_90a"}) {
    const std::string one = f.path + "/two/" + arch;
    CHECK(tool("build " + expression + "--arch=" + arch + " " + text_only + "--compile-from=" + one + "/k." + arch + ".cu -o " + f.path + "/j").code == 0);
    CHECK(test::read_file(f.path + "/j/k.cu") == test::read_file(f.path + "/i/k." + arch + ".cu"));
    CHECK(std::filesystem::exists(one + "/15_lower_events.ir"));
  }
  // On a CPU.
  REQUIRE(tool("build " + expression + "--target=llvm --schedule naive --dump-ir=" + f.path + "/cpu -o " + f.path + "/h").code == 0);
  write(f.path + "/cpu.ir", edited(f.path + "/cpu/03_insert_guards.ir", "X[i] * 2", "X[i] * 5"));
  CHECK(tool("run " + expression + "--target=llvm --verify --compile-from=" + f.path + "/cpu/02_place_buffers.ir").code == 0);
  check_wrong({{"run " + expression + "--target=llvm --verify --compile-from=" + f.path + "/cpu.ir", 1, "E0524"}});
}

TEST_CASE("cli: compile from edited CUDA text, by the same contract") {
  const TemporaryFolder f;
  const std::string d = f.path + "/d/";
  REQUIRE(tool("build " + gpu + text_only + "--schedule naive --dump-ir=" + d + " -o " + f.path + "/a").code == 0);
  write(f.path + "/edited.cu", edited(d + "k.cu", "* 2", "* 7"));
  const std::string from = "--compile-from=" + f.path + "/edited.cu ";
  REQUIRE(tool("build " + gpu + text_only + from + "-o " + f.path + "/b").code == 0);
  CHECK(test::read_file(f.path + "/b/k.cu") == edited(f.path + "/a/k.cu", "* 2", "* 7"));
  auto a = nlohmann::json::parse(test::read_file(f.path + "/a/k.json")), b = nlohmann::json::parse(test::read_file(f.path + "/b/k.json"));
  CHECK(a["variants"] == b["variants"]);
  CHECK(a["buffers"] == b["buffers"]);
  check_wrong({{"run " + gpu + "--simulate " + from, 1, "error E0432: cannot go on from '" + f.path + "/edited.cu': CUDA text runs on a GPU and nowhere else"},
               {"build " + gpu + text_only + from + "--arch=sm_80 -o " + f.path + "/c", 2, ""},
               {"build " + expression + "--arch=sm_80 " + text_only + from + "-o " + f.path + "/c", 1, "error E0434: '" + f.path + "/edited.cu' was made from something else: its kernels are for sm_90a, not for sm_80"}});
  if (!nvrtc_available()) return;
  CHECK(tool("build " + gpu + from + "--emit=cubin,json -o " + f.path + "/e").code == 0);
  write(f.path + "/wrong.cu", edited(d + "k.cu", "* 2", "* two"));
  check_wrong({{"build " + gpu + "--compile-from=" + f.path + "/wrong.cu --emit=cubin,json -o " + f.path + "/g", 1, "error E0440: NVRTC refused '" + f.path + "/wrong.cu' for sm_90a"}});
}

TEST_CASE("cli: compile from what is no stage, no program, or another expression's") {
  const TemporaryFolder f;
  const std::string d = f.path + "/d/", out = " -o " + f.path + "/out", build = "build " + gpu + text_only + "--compile-from=";
  REQUIRE(tool("build " + gpu + text_only + "--schedule naive --dump-ir=" + d + " -o " + f.path + "/a").code == 0);
  const std::string stage = d + "13_insert_guards.ir", e = f.path + "/e.ir";
  const auto says = [&](const std::string& piece, const std::string& by, const std::string& what) {
    write(e, edited(stage, piece, by));
    check_wrong({{build + e + out, 1, what}});
  };
  // The verifier's refusals and the parser's, with the line.
  says("Y[i] = ", "X[i] = ", e + ":5:7: error E0433: the program after 'insert_guards' breaks a rule that holds there: block 'Y' writes the input 'X'\n");
  says("X[i] * 2", "X[i] ? 2", e + ":6:21: error E0101");
  says("X[i] * 2", "Z[i] * 2", e + ":6:16: error E0150: unknown buffer 'Z'");
  says("-> (Y: f32[64])", "-> (Y: f32[64], Q: f32[64])", e + ":2:1: error E0433: the program after 'insert_guards' breaks a rule that holds there: no block writes the output 'Q'");
  // What it is.
  says("# tecc: after insert_guards\n", "", "error E0432: cannot go on from '" + e + "': its first line is not '# tecc: after PASS', as --dump-ir writes it");
  says("insert_guards\n", "insert_gards\n", e + ":1:15: error E0432: cannot go on from '" + e + "': 'insert_gards' is no stage of the passes for a GPU; legal: scheduled, check_groups, ");
  write(f.path + "/none.cu", "int x;\n");
  check_wrong({{build + f.path + "/none.cu" + out, 1, "E0432"},
               {build + f.path + "/nowhere.ir" + out, 1, "E0601"},
               {build + stage + " --schedule naive" + out, 2, "compile-from"},
               {"build " + expression + "--arch=sm_80,sm_90a " + text_only + "--compile-from=" + stage + out, 1, "E0432"},
               {"build " + expression + "--target=llvm --compile-from=" + d + "14_insert_barriers.ir" + out, 1, "is no stage of the passes for a CPU; legal: scheduled, decompose_reductions, place_buffers, insert_guards"}});
  // Whose it is.
  const std::string other = "-e 'kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2 + 1 }' --dims N=65 --arch=sm_90a " + text_only;
  check_wrong({{"build " + other + "--compile-from=" + stage + out, 1, "was made from something else: it takes X: f32[64] align 16; gives Y: f32[64] align 16; the INPUT takes X: f32[65] align 16"},
               {"build " + other + "--compile-from=" + d + "k.cu" + out, 1, "error E0434: '" + d + "k.cu' was made from something else: dim 'N' is not the INPUT's"},
               {"build -e 'kernel q(X: f32[N]) -> (Y) { Y[i: N] = X[i] * 2 + 1 }' --dims N=64 --arch=sm_90a " + text_only + "--compile-from=" + stage + out, 1, "it is called 'k', the INPUT 'q'"}});
  // A device that lacks what the program uses.
  const std::string gemm = TECC_SOURCE_DIR "/examples/cases/gemm.te --dims M=512,N=512,K=256 --types T=bf16 " + text_only;
  REQUIRE(tool("build " + gemm + "--arch=sm_90a --schedule " TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule --dump-ir=" + f.path + "/w -o " + f.path + "/x").code == 0);
  write(e, edited(f.path + "/w/00_scheduled.ir", "for x0: 128 {", "for x0: 0 {"));
  check_wrong({{"build " + gemm + "--arch=sm_90a --compile-from=" + e + out, 1, "error E0419: the tile of 'A.shared' cannot be cut into threads: loop 'x0' has no iteration"}});
  check_wrong({{"build " + gemm + "--arch=sm_80 --compile-from=" + f.path + "/w/15_lower_events.ir" + out, 1, "which this sm_80 does not have"}});
}
