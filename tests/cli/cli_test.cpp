#include <filesystem>
#include <fstream>

#include "tests/support/tool.h"

using namespace tecc;
using test::check_wrong;
using test::parsed;
using test::tool;

namespace {

const std::string gemm = TECC_SOURCE_DIR "/examples/cases/gemm.te --dims M=8,N=12,K=16 --types T=f32 ";
const std::string cpu = "--target=llvm ";

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::size_t files_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

}  // namespace

TEST_CASE("cli: help, version, no command") {
  CHECK(tool("--version").out.starts_with("tecc 0.1."));
  const test::Ran help = tool("--help");
  CHECK(help.code == 0);
  for (const char* command : {"build", "check", "devices", "explain", "model", "plan", "run", "survey", "tune", "records"}) {
    CHECK(help.out.find(command) != std::string::npos);
    const test::Ran one = tool(std::string(command) + " --help");
    CHECK(one.code == 0);
    CHECK(one.out.size() > 40);
  }
  check_wrong({{"", 2, ""}, {"bild", 2, ""}, {"--frob", 2, "required"}});
}

TEST_CASE("cli: check") {
  const test::Ran r = tool("check " + gemm);
  CHECK(r.code == 0);
  CHECK(r.out.find("kernel gemm") != std::string::npos);
  CHECK(parsed(tool("check " + gemm + "--json"))["kernel"] == "gemm");
  CHECK(tool("check -e 'kernel k(X: f32[4]) -> (Y) { Y[i: 4] = X[i] }'").code == 0);
  check_wrong({{"check nowhere.te", 1, "E0601"},
               {"check " TECC_SOURCE_DIR "/examples/cases/gemm.te --dims M=8,N=8 --types T=f32", 1, "'K'"},
               {"check " TECC_SOURCE_DIR "/examples/cases/gemm.te --dims M=8,N=8,K=8", 1, "'T'"},
               {"check -e 'kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i + 1] }' --dims N=4", 1, "E0240"},
               {"check -e 'kernel k('", 1, "-e:1:"},
               {"check", 1, "E0601"},
               {"check " TECC_SOURCE_DIR, 1, "E0601"},
               {"check " + gemm + "--frob", 2, "frob"}});
  const test::Ran json = tool("check -e 'kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i + 1] }' --dims N=4 --json");
  CHECK(json.code == 1);
  CHECK(parsed(json)["error"]["code"] == "E0240");
  CHECK(parsed(json)["error"]["line"] == 1);
}

TEST_CASE("cli: build for a CPU leaves one contract, and nothing where it fails") {
  const TemporaryFolder f;
  const test::Ran r = tool("build " + gemm + cpu + "--out-dir " + f.path + "/a");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  for (const char* file : {"gemm.o", "gemm.json", "gemm.h", "gemm.te", "gemm.schedule", "example.c"}) CHECK(std::filesystem::exists(f.path + "/a/" + file));
  CHECK(nlohmann::json::parse(test::read_file(f.path + "/a/gemm.json"))["name"] == "gemm");
  CHECK(parsed(tool("build " + gemm + cpu + "--emit=obj,header,json --json --out-dir " + f.path + "/b"))["files"].size() >= 4);

  std::filesystem::create_directory(f.path + "/empty");
  check_wrong({{"build " + gemm + "--arch sm_1 --out-dir " + f.path + "/empty", 1, "unknown architecture 'sm_1'"},
               {"build " + gemm + "--target=tpu --out-dir " + f.path + "/empty", 2, "tpu"},
               {"build " + gemm + cpu + "--emit=everything --out-dir " + f.path + "/empty", 1, "cannot emit 'everything'"},
               {"build " + gemm + cpu + "--schedule nowhere.schedule --out-dir " + f.path + "/empty", 1, "E0601"},
               {"build " + gemm + cpu + "--mcpu=abacus --out-dir " + f.path + "/empty", 1, "abacus"},
               {"build " + gemm + cpu + "--locked --records " + f.path + "/empty.db --out-dir " + f.path + "/empty", 1, "E05"}});
  CHECK(files_in(f.path + "/empty") == 0);
  CHECK(tool("build " + gemm + cpu + "--out-dir /proc/nowhere").code == 1);
  write(f.path + "/file", "");
  check_wrong({{"build " + gemm + cpu + "--out-dir " + f.path + "/file", 1, "E0602"}});
}

TEST_CASE("cli: build with a schedule in a file; a wrong one shows its line") {
  const TemporaryFolder f;
  write(f.path + "/good.schedule", "i0, i1 = split(C.i, 4)\nparallel(i0)\n");
  CHECK(tool("build " + gemm + cpu + "--schedule " + f.path + "/good.schedule --out-dir " + f.path + "/a").code == 0);
  CHECK(test::read_file(f.path + "/a/gemm.schedule") == "i0, i1 = split(C.i, 4)\nparallel(i0)\n");
  write(f.path + "/bad.schedule", "i0, i1 = split(C.i, 4)\nparallel(C.i)\n");
  const test::Ran bad = tool("build " + gemm + cpu + "--schedule " + f.path + "/bad.schedule --out-dir " + f.path + "/b");
  CHECK(bad.code == 1);
  CHECK(bad.err.find("bad.schedule:2:1: error E0301: loop 'C.i' no longer exists; it became 'i0' or 'i1'\n  parallel(C.i)\n  ^\n") != std::string::npos);
  CHECK(tool("build " + gemm + cpu + "--schedule naive --out-dir " + f.path + "/c").code == 0);
}

TEST_CASE("cli: build says how long its steps took, where it is asked") {
  const TemporaryFolder f;
  const std::string build = "build " TECC_SOURCE_DIR "/examples/cases/gemm.te --arch=sm_90a --dims M=256,N=256,K=256 --types T=bf16 --schedule " TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule --emit=cuda -o " + f.path;
  const test::Ran r = tool(build + " --time-passes");
  CHECK(r.code == 0);
  std::size_t at = 0;  // in this order
  for (const char* step : {"read, bind, lift", "choose or read the schedule", "schedule", "check_groups", "choose_instructions", "place_buffers", "lower_events", "emit", "compile", "in all"}) {
    INFO(step << "\n" << r.err);
    at = r.err.find(std::string(" ms  ") + step + "\n", at);
    REQUIRE(at != std::string::npos);
  }
  CHECK(tool(build).err == "");
  check_wrong({{"build " + gemm + cpu + "--emit=obj,cubit", 1, "E0292: cannot emit 'cubit'; there are cubin, ptx, cuda, header, json, obj, ir"},
               {"explain E0999", 1, "E0293: there is no error 'E0999'; numbers look like E0303"}});
}

TEST_CASE("cli: run") {
  const TemporaryFolder f;
  const test::Ran r = tool("run " + gemm + cpu + "--verify");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.find("verified") != std::string::npos);
  CHECK(parsed(tool("run " + gemm + cpu + "--json --bench"))["gflops"].is_number());
  CHECK(tool("run " + gemm + cpu + "--out C=" + f.path + "/c.npy").code == 0);
  CHECK(tool("run -e 'kernel k(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = X[i, j] * 2 }' --dims M=8,N=12 " + cpu + "--in X=" + f.path + "/c.npy --verify").code == 0);
  write(f.path + "/broken.npy", "\x93NUMPY junk");
  check_wrong({{"run " + gemm + cpu + "--in A=" + f.path + "/broken.npy", 1, "E0608"},
               {"run " + gemm + cpu + "--in A=" + f.path + "/c.npy", 1, "E0609"},
               {"run " + gemm + cpu + "--in Q=" + f.path + "/c.npy", 1, "'Q'"},
               {"run " + gemm + cpu + "--in A", 1, "'A'"},
               {"run nowhere.te", 1, "E0601"}});
}

TEST_CASE("cli: run an artifact for a CPU") {
  const TemporaryFolder f;
  const std::string json = f.path + "/a/gemm.json ";
  REQUIRE(tool("build " TECC_SOURCE_DIR "/examples/cases/gemm.te --dims M=1..64,N=12,K=16 --types T=f32 " + cpu + "--out-dir " + f.path + "/a").code == 0);
  const test::Ran r = tool("run " + json + "--dims M=17 --verify --bench --out C=" + f.path + "/c.npy");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.starts_with("C: f32[17, 12], min "));
  CHECK(r.out.find("verified against the reference interpreter\n") != std::string::npos);
  CHECK(r.out.find(" GFLOP/s on CPU\n") != std::string::npos);
  CHECK(tool("run -e 'kernel k(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = X[i, j] }' --dims M=17,N=12 " + cpu + "--in X=" + f.path + "/c.npy").out.substr(1) == r.out.substr(1, r.out.find('\n')));
  CHECK(parsed(tool("run " + json + "--verify --json"))["outputs"][0]["shape"] == std::vector<int>{64, 12});  // not 100, which is not allowed
  CHECK(tool("run " + json + "--interpret --verify").code == 0);
  check_wrong({{"run " + json + "--dims M=65", 1, "E0615: dim 'M' is 65; the contract of 'gemm' allows 1..64"},
               {"run " + json + "--in Q=q.npy", 1, "E0295: there is no input 'Q'; there are A, B"},
               {"run " + json + "--dims Q=1 --json", 1, "'Q'"}});

  // What may have become of the files.
  const std::string contract = test::read_file(f.path + "/a/gemm.json");
  const std::size_t triple = contract.find("\"x86_64");
  REQUIRE(triple != std::string::npos);
  std::filesystem::copy(f.path + "/a", f.path + "/b");
  write(f.path + "/b/gemm.json", contract.substr(0, triple) + "\"aarch64-unknown-linux-gnu\"" + contract.substr(contract.find('"', triple + 1) + 1));
  write(f.path + "/a/gemm.o", "no object");
  check_wrong({{"run " + f.path + "/b/gemm.json", 1, "E0611: no variant of 'gemm' fits this CPU (a variant needs aarch64-unknown-linux-gnu)"},
               {"run " + json, 1, "E0619: 'gemm.o' does not run on this machine: "}});
  std::filesystem::remove(f.path + "/a/gemm.o");
  check_wrong({{"run " + json, 1, "E0601: cannot read"}});
  write(f.path + "/b/gemm.json", contract);
  std::filesystem::remove(f.path + "/b/gemm.te");
  CHECK(tool("run " + f.path + "/b/gemm.json").code == 0);  // the contract says enough
  check_wrong({{"run " + f.path + "/b/gemm.json --verify", 1, "E0601: cannot read"}});
}

TEST_CASE("cli: run an artifact for a GPU, here against a driver that prints what it is given") {
  const TemporaryFolder f;
  if (test::shell("cc -shared -fPIC -o libcuda.so.1 " TECC_SOURCE_DIR "/tests/support/fake_cuda.c", f.path).code != 0) return;  // no C compiler
  const std::string fake = "LD_LIBRARY_PATH=" + f.path + ":$LD_LIBRARY_PATH HOME=/nonexistent " TECC_BINARY_DIR "/tecc run add.json ";
  write(f.path + "/add.json", R"({"contract": 1, "name": "add", "made_by": {"tecc": "0.1.0", "toolkit": ""}, "types": {}, "constraints": [],
    "dims": {"N": {"min": 1, "max": 9, "multiple_of": 1}},
    "buffers": [{"name": "X", "role": "input", "dtype": "f32", "shape": ["N"], "strides": ["1"], "align": 4},
                {"name": "a", "role": "scalar", "dtype": "f32"},
                {"name": "Y", "role": "output", "dtype": "f32", "shape": ["N"], "strides": ["1"], "align": 4}],
    "variants": [{"target": {"kind": "cuda", "arch": "sm_90a", "forward_compatible": false}, "when": {}, "once": [],
      "launches": [{"kernel": "add", "image": "add.cubin", "grid": ["N", "1", "1"], "block": [32, 1, 1], "cluster": [1, 1, 1], "shared_bytes": 0,
        "cooperative": false, "programmatic_dependent": false,
        "args": [{"kind": "buffer", "buffer": "Y", "offset_bytes": "0"}, {"kind": "scalar", "type": "i32", "value": "N"},
                 {"kind": "scalar", "type": "f32", "value": "a"}]}]}],
    "numerics": {"accumulate": "f32", "rtol": 0.001, "atol": 0.001, "deterministic": true, "verified": false},
    "expression": "add.te", "schedule": null, "record": null})");
  write(f.path + "/add.cubin", "fake add");
  const test::Ran r = test::shell(fake + "--dims N=5 --set a=2 --bench", f.path);
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.starts_with("fake: load fake add\nfake: launch add 5 1 1 of 32 shared 0\n"));
  CHECK(r.out.find("Y: f32[5], min nan, max nan, mean nan\n") != std::string::npos);  // nothing was written
  CHECK(r.out.ends_with("250.0 us (median of 20) on Fake 40\n"));  // no expression, no operations to count
  CHECK(test::shell(fake + "--target=llvm", f.path).err.starts_with("error E0611: no variant of 'add' fits the CPU"));
  CHECK(test::shell(fake + "--verify", f.path).err.starts_with("error E0601: cannot read "));
  write(f.path + "/add.te", "kernel add(X: f32[N], a: f32) -> (Y) { Y[i: N] = X[i] + a }");
  CHECK(test::shell(fake + "--verify", f.path).err.starts_with("error E0524: output 'Y' differs from the reference by a number that is not finite > 0"));
}

TEST_CASE("cli: run --verify of something else than the expression") {
  const TemporaryFolder f;
  REQUIRE(tool("build -e 'kernel k(X: f32[M], a: f32) -> (Y) { Y[i: M] = X[i] * a }' --dims M=4 " + cpu + "--out-dir " + f.path).code == 0);
  CHECK(tool("run k.json --verify --set a=2.5", f.path).code == 0);
  const std::string te = test::read_file(f.path + "/k.te");
  write(f.path + "/k.te", te.substr(0, te.find("* a")) + "* a * -1" + te.substr(te.find("* a") + 3));
  const test::Ran r = tool("run k.json --verify --set a=2.5", f.path);
  CHECK(r.code == 1);
  CHECK(r.err.starts_with("error E0524: output 'Y' differs from the reference by 2 > "));
  check_wrong({{"run " + f.path + "/k.json --set a=much", 1, "E0294: 'a=much' is not NAME=number"}});
}

TEST_CASE("cli: run draws integers that index a tensor inside of it") {
  CHECK(tool("run -e 'kernel g(X: f32[N], at: i64[M]) -> (Y) { Y[i: M] = X[at[i]] }' --dims N=3,M=50 " + cpu + "--verify").code == 0);
}

TEST_CASE("cli: without a driver, asking for a GPU says so") {
  if (tool("devices --json").out.find("\"arch\"") != std::string::npos) return;
  check_wrong({{"tune " + gemm + "--arch=sm_90a --trials 1", 1, "E0527: candidates for sm_90a cannot be measured on this machine: no CUDA driver: "},
               {"run " + gemm + "--target=cuda", 1, "E0603"}, {"build " + gemm + "--arch native --out-dir /tmp", 1, "E0603"}});
}

TEST_CASE("cli: tune and records") {
  const TemporaryFolder f;
  const std::string db = "--records " + f.path + "/r.db ";
  const test::Ran r = tool("tune " + gemm + cpu + db + "--trials 3 --json");
  INFO(r.out << r.err);
  REQUIRE(r.code == 0);
  CHECK(parsed(r)["trials"] == 3);
  check_wrong({{"build " + gemm + cpu + "--locked --records " + f.path + "/none.db --out-dir " + f.path + "/b", 1, "E0510: there is no record of 'gemm' for cpu/native/"}});
  const test::Ran broken = test::shell("TECC_INJECT=compile:100 XDG_DATA_HOME=/nonexistent HOME=/nonexistent " TECC_BINARY_DIR "/tecc tune " + gemm + cpu + "--trials 2 --records " + f.path + "/broken.db");
  CHECK(broken.code == 1);
  CHECK(broken.err.find("error E0540: none of 2 candidates of 'gemm' could be measured; most frequent: E0526 injected fault: compile\n") != std::string::npos);
  CHECK(tool("build " + gemm + cpu + db + "--locked --out-dir " + f.path + "/a").code == 0);
  CHECK(tool("records list " + db).code == 0);
  CHECK(tool("records list " + db + "--json").code == 0);
  write(f.path + "/not.db", "this is no database, but long enough to be looked at as one; and then some more text to fill it up");
  check_wrong({{"tune " + gemm + cpu + db + "--time never", 2, "never"},
               {"tune " + gemm + cpu + db + "--trials 0", 2, "trials"},
               {"tune " + gemm + cpu + "--records " + f.path + "/not.db --trials 1", 1, "E05"},
               {"tune nowhere.te " + cpu + db, 1, "E0601"},
               {"records frob " + db, 2, ""}});
}

TEST_CASE("cli: survey, a model of its records, and tuning with it") {
  const TemporaryFolder f;
  const std::string space = "--out " + f.path + "/space.jsonl ", model = f.path + "/m.ubj", db = "--records " + f.path + "/r.db ";
  const test::Ran r = tool("survey " + gemm + cpu + space + "--points 4 --retimed 2 --json");
  INFO(r.out << r.err);
  REQUIRE(r.code == 0);
  CHECK(parsed(r)["measured"].get<int>() + parsed(r)["failed"].get<int>() == 4);
  CHECK(parsed(tool("survey " + gemm + cpu + space + "--points 4 --retimed 0 --json"))["measured"] == parsed(r)["measured"]);  // nothing is done twice
  const test::Ran trained = tool("model train --from " + f.path + "/space.jsonl --class native --out " + model + " --json");
  INFO(trained.out << trained.err);
  REQUIRE(trained.code == 0);
  CHECK(parsed(trained)["tasks"].at(0)["kernel"] == "gemm");
  CHECK(tool("tune " + gemm + cpu + db + "--trials 2 --model " + model).code == 0);
  CHECK(tool("tune " + gemm + cpu + db + "--trials 2 --no-model").code == 0);
  check_wrong({{"survey " + gemm + cpu, 2, "--out"},
               {"survey " + gemm + cpu + space + "--time never", 2, "never"},
               {"survey " + gemm + cpu + "--out " + f.path + "/nowhere/x.jsonl", 1, "E0602"},
               {"model", 2, ""},
               {"model train --from " + f.path + "/none.jsonl --class sm_90a --out " + model, 1, "E0601"},
               {"model train --from " + f.path + "/space.jsonl --class sm_90a --out " + model, 1, "E0532"},
               {"tune " + gemm + cpu + db + "--model " + f.path + "/space.jsonl", 1, "E0531"},
               {"tune " + gemm + cpu + db + "--model x --no-model", 2, "--model"}});
}

TEST_CASE("cli: explain") {
  CHECK(tool("explain E0306").out.starts_with("E0306 (tail_left)"));
  CHECK(parsed(tool("explain E0306 --json"))["code"] == "E0306");
  check_wrong({{"explain E9999", 1, "there is no error 'E9999'"}, {"explain", 2, "what"}, {"explain E0306 E0307", 2, ""}});
}

TEST_CASE("cli: devices") {
  CHECK(tool("devices").out.find("cpu ") != std::string::npos);
  CHECK(parsed(tool("devices --json"))["cpu"]["threads"].is_number());
  check_wrong({{"devices --frob", 2, "frob"}, {"devices all", 2, ""}, {"devices --json=maybe", 2, ""}});
}

TEST_CASE("cli: plan") {
  const TemporaryFolder f;
  write(f.path + "/b.csv", "id,lower,upper,size\na,0,2,64\nb,1,3,32\nc,2,4,64\n");
  CHECK(tool("plan " + f.path + "/b.csv").out.starts_with("id,lower,upper,size,offset\n"));
  CHECK(parsed(tool("plan " + f.path + "/b.csv --json"))["peak"] == 96);
  CHECK(tool("plan " + f.path + "/b.csv -o " + f.path + "/o.csv").code == 0);
  CHECK(tool("plan " TECC_SOURCE_DIR "/examples/cases/softmax.te --dims M=8,N=8 --types T=f32").code == 0);
  write(f.path + "/bad.csv", "id,lower,upper,size\na,2,2,64\n");
  check_wrong({{"plan " + f.path + "/bad.csv", 1, "E0254"},
               {"plan " + f.path + "/b.csv --capacity 90", 1, "E0291: the buffers need 96 bytes > capacity 90 bytes (lower bound 96 bytes)"},
               {"plan " + f.path + "/nowhere.csv", 1, "E0601"},
               {"plan " + f.path + "/b.csv -o /proc/nowhere/o.csv", 1, "E0602"}});
}
