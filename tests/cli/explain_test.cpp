#include <filesystem>
#include <fstream>
#include <regex>

#include "codegen/cuda/nvrtc.h"
#include "tests/support/tool.h"

/// tecc explain ARTIFACT. Error numbers are in cli_test.cpp.
using namespace tecc;
using test::check_wrong;
using test::parsed;
using test::tool;

namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
const std::string gemm = "build " TECC_SOURCE_DIR "/examples/cases/gemm.te --arch=sm_90a --dims M=4096,N=4096,K=4096 --types T=bf16 --schedule " TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule ";
/// The tool where no disassembler is on PATH (the shell's own folders hold none, or they are the toolkit's: then SASS is used).
bool has_disassembler() { return test::shell("command -v cuobjdump nvdisasm").code == 0; }

}  // namespace

TEST_CASE("explain: an artifact without images, from its contract, expression and schedule") {
  const TemporaryFolder f;
  REQUIRE(tool(gemm + "--emit=json -o " + f.path + "/a").code == 0);
  const test::Ran r = tool("explain " + f.path + "/a");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.starts_with("gemm for sm_90a, M=4096, K=4096, N=4096, T=bf16\n\nkernel gemm: 132 blocks of 384 threads\n"));
  CHECK(r.out.find("  shared memory     229440 bytes a block\n") != std::string::npos);
  CHECK(r.out.find("from the loop program (no machine code is at hand)\n    matrix                      1\n    bulk copies                 3\n") != std::string::npos);
  CHECK(r.out.find("  bank conflicts    none in 3 accesses\n    C.sum <- A.shared  wgmma               no conflict\n") != std::string::npos);
  CHECK(r.out.find("  memory            100.7 MB at 3.35 TB/s: 30 us\n  tensor cores      137.4 GFLOP at 989.0 TFLOP/s: 139 us\n") != std::string::npos);
  CHECK(r.out.ends_with("\nThe rate of the tensor cores bounds it on this device: nothing is faster than 139 us, 4.6 times what memory would allow.\n"));
  CHECK(tool("explain " + f.path + "/a/gemm.json").out == r.out);
  const auto j = parsed(tool("explain " + f.path + "/a --json"));
  CHECK(j["kernels"][0]["launch"]["threads"] == 384);
  CHECK(j["kernels"][0]["shared_accesses"].size() == 3);
  CHECK(j["kernels"][0]["shared_accesses"][2]["ways"] == 1);
  CHECK(j["roofline"]["bound"] == "compute");
  // Another device moves the bound.
  std::string slow = test::read_file(TECC_SOURCE_DIR "/targets/sm_90a.json");
  write(f.path + "/slow.json", std::regex_replace(slow, std::regex("\"memory_gbs\": 3350.0"), "\"memory_gbs\": 100.0"));
  CHECK(tool("explain " + f.path + "/a --arch=" + f.path + "/slow.json").out.find("\nMemory bounds it on this device: nothing is faster than 1.01e+03 us, 7.2 times what the tensor cores would allow.\n") != std::string::npos);
}

TEST_CASE("explain: a row-wise kernel is bound by memory; runtime dims are given") {
  const TemporaryFolder f;
  REQUIRE(tool("build " TECC_SOURCE_DIR "/examples/cases/softmax.te --arch=sm_90a --dims M=1..65536,N=4096 --types T=bf16 --emit=json --schedule " TECC_SOURCE_DIR "/examples/schedules/softmax_rows_sm90a.schedule -o " + f.path + "/a").code == 0);
  const test::Ran r = tool("explain " + f.path + "/a --dims M=65536");
  INFO(r.out << r.err);
  CHECK(r.out.starts_with("softmax for sm_90a, M=65536, N=4096, T=bf16\n"));
  CHECK(r.out.find("Memory bounds it on this device") != std::string::npos);
  CHECK(tool("explain " + f.path + "/a").out.starts_with("softmax for sm_90a, M=100, "));
  check_wrong({{"explain " + f.path + "/a --dims M=65537", 1, "E0615: dim 'M' is 65537; the contract of 'softmax' allows 1..65536"}});
}

TEST_CASE("explain: registers from the cubin, instructions from PTX or SASS") {
  if (!nvrtc_available()) return;
  const TemporaryFolder f;
  REQUIRE(tool(gemm + "-o " + f.path + "/a").code == 0);
  const test::Ran r = tool("explain " + f.path + "/a");
  INFO(r.out << r.err);
  CHECK(std::regex_search(r.out, std::regex("  registers         168 a thread when it starts; roles change that\n  stack             0 bytes a thread")));
  CHECK(r.out.find("  blocks per SM     1, bound by registers and shared memory\n  waves             1.00 (132 blocks on 132 SMs x 1)\n") != std::string::npos);
  if (!has_disassembler()) CHECK(r.out.find("from PTX (no cuobjdump or nvdisasm on PATH)\n    matrix                      4   4 wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16\n") != std::string::npos);
  CHECK(parsed(tool("explain " + f.path + "/a --json"))["kernels"][0]["hot_loop"]["matrix"] == 4);
  const test::Ran alone = tool("explain " + f.path + "/a/gemm.cubin");
  CHECK(alone.out.starts_with(f.path + "/a/gemm.cubin, for sm_90a\n\nkernel gemm\n  registers         168 a thread"));
  CHECK(alone.out.find("bank conflicts and bounds are in the contract's report") != std::string::npos);
}

TEST_CASE("explain: a disassembler on PATH is used, one that fails is not") {
  if (!nvrtc_available()) return;
  const TemporaryFolder f;
  REQUIRE(tool(gemm + "-o " + f.path + "/a").code == 0);
  std::filesystem::create_directory(f.path + "/bin");
  const auto with = [&](const std::string& script) {
    write(f.path + "/bin/cuobjdump", "#!/bin/sh\n" + script);
    std::filesystem::permissions(f.path + "/bin/cuobjdump", std::filesystem::perms::owner_all);
    return test::shell("PATH=" + f.path + "/bin:$PATH " TECC_BINARY_DIR "/tecc explain " + f.path + "/a").out;
  };
  const std::string out = with("[ \"$1\" = -sass ] && cat <<END\n\t\tFunction : gemm\n        /*0000*/   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR16], R24 ;\n        /*0010*/   STL [R1], R2 ;\n        /*0020*/   @P0 BRA 0x0 ;\n        /*0030*/   MEMBAR.ALL.CTA ;\n        /*0040*/   EXIT ;\nEND\n");
  INFO(out);
  CHECK(out.find("  stack             0 bytes a thread, 0 loads and 1 stores of spills or arrays (1 in the hot loop)\n") != std::string::npos);
  CHECK(out.find("  hot loop          3 of 5 instructions, from SASS of cuobjdump\n    matrix                      1   1 HGMMA.64x64x16.F32.BF16\n    local memory                1   1 STL\n    control                     1   1 BRA\n  MEMBAR            1, 0 in the hot loop\n") != std::string::npos);
  CHECK(with("exit 1\n").find("SASS of cuobjdump") == std::string::npos);
}

TEST_CASE("explain: wrong uses") {
  const TemporaryFolder f;
  REQUIRE(tool(gemm + "--emit=json -o " + f.path + "/a").code == 0);
  REQUIRE(tool("build " TECC_SOURCE_DIR "/examples/cases/gemm.te --target=llvm --dims M=8,N=8,K=8 --types T=f32 -o " + f.path + "/cpu").code == 0);
  std::filesystem::create_directory(f.path + "/empty");
  std::filesystem::create_directory(f.path + "/two");
  for (const char* name : {"/two/a.json", "/two/b.json"}) write(f.path + name, "{}");
  write(f.path + "/text.cubin", "no cubin, but long enough");
  write(f.path + "/text.txt", "");
  check_wrong({{"explain " + f.path + "/nowhere.json", 1, "E0601"},
               {"explain " + f.path + "/two/a.json", 1, "E0610"},
               {"explain " + f.path + "/text.cubin", 1, "error E0624: '" + f.path + "/text.cubin' is no cubin: it is no ELF file"},
               {"explain " + f.path + "/empty", 1, "error E0625: cannot explain '" + f.path + "/empty': the folder holds no contract (NAME.json)"},
               {"explain " + f.path + "/two --json", 1, "error E0625: cannot explain '" + f.path + "/two': the folder holds 2 contracts; legal: the path of one, as " + f.path + "/two/a.json"},
               {"explain " + f.path + "/text.txt", 1, "error E0625: cannot explain '" + f.path + "/text.txt': its name ends in neither .json nor .cubin"},
               {"explain " + f.path + "/cpu", 1, "it has kernels for a CPU, none for a GPU"},
               {"explain " + f.path + "/a --arch=sm_80", 1, "it has kernels for sm_90a, none for sm_80"},
               {"explain " + f.path + "/a --dims Q=x", 1, "error E0"},
               {"explain " + f.path + "/a --frob", 2, "frob"}});
}
