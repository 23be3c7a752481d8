#include <set>

#include "codegen/cuda/nvrtc.h"
#include "tests/support/fake_libraries.h"
#include "tests/support/tool.h"

/// tecc on several GPUs, which tests/support/fake_cuda.c and fake_nvml.c stand for.
using namespace tecc;
using test::check_wrong;
using test::parsed;
using test::Ran;
using test::mm;
using test::tool;

namespace {

/// The tool where these GPUs are; `variables` tell the fakes more.
Ran on_gpus(const std::string& folder, const std::string& sms, const std::string& arguments, const std::string& variables = "") {
  return test::shell(variables + " FAKE_CUDA_SMS=" + sms + " LD_LIBRARY_PATH=" + folder + ":$LD_LIBRARY_PATH XDG_DATA_HOME=/nonexistent HOME=/nonexistent " TECC_BINARY_DIR "/tecc " + arguments);
}

}  // namespace

TEST_CASE("cli: --devices, refusals by number") {
  const TemporaryFolder f;
  if (!test::build_fake_cuda(f.path)) return;
  const auto refused = [&](const std::string& devices) {
    const Ran r = on_gpus(f.path, "132,132,114", "tune " + mm + "--trials 1 --records " + f.path + "/r.db " + devices);
    CHECK(r.code == 1);
    return r.err;
  };
  CHECK(refused("--devices 0,2") ==
        "error E0534: devices 0 and 2 are of different kinds: device 0 is Fake 40 with 132 SMs, device 2 is Fake 40 with 114 SMs; a time of the one does not hold on the other, so give devices of one kind\n");
  CHECK(refused("--devices all").starts_with("error E0534: devices 0 and 2 are of different kinds: "));
  CHECK(refused("--devices 0,x") == "error E0533: --devices '0,x': 'x' is not the number of a device; write for example --devices 0,1 or --devices all\n");
  CHECK(refused("--devices 0,1,") == "error E0533: --devices '0,1,': '' is not the number of a device; write for example --devices 0,1 or --devices all\n");
  CHECK(refused("--devices 1,1") == "error E0533: --devices '1,1': device 1 is named twice; write for example --devices 0,1 or --devices all\n");
  CHECK(refused("--devices 0,3") == "error E0604: no CUDA device 3; 3 found\n");
  CHECK(refused("--devices 0 --target=llvm") == "error E0533: --devices '0': the target is a CPU, which is no numbered device; write for example --devices 0,1 or --devices all\n");
  CHECK(on_gpus(f.path, "132", "survey " + mm + "--out " + f.path + "/s.jsonl --devices one").err.starts_with("error E0533: --devices 'one'"));
  check_wrong({{"tune " + mm + "--devices 0 --device 0", 2, "excludes"}});
}

TEST_CASE("cli: --devices of a CPU is refused whether there is a driver or not") {
  for (const char* command : {"tune ", "survey --out /nonexistent/s.jsonl "})
    CHECK(tool(command + mm + "--target=llvm --devices 0,1").err == "error E0533: --devices '0,1': the target is a CPU, which is no numbered device; write for example --devices 0,1 or --devices all\n");
}

TEST_CASE("cli: two GPUs measure, one times the finalists, records and last lines say which and at which clock", "[slow]") {
  const TemporaryFolder f;
  if (!nvrtc_available() || !test::build_fake_cuda(f.path) || !test::build_fake_nvml(f.path)) return;
  const std::string db = "--records " + f.path + "/r.db ";
  const Ran r = on_gpus(f.path, "132,132", "tune " + mm + db + "--devices 1,0 --trials 8", "FAKE_NVML_REASONS=0x4 FAKE_NVML_STEP=40");
  INFO(r.out << r.err);
  REQUIRE(r.code == 0);
  CHECK(r.out.find("\n  the best one ran at 1") != std::string::npos);
  CHECK(r.out.find(" MHz, 612 W, 61 °C, power cap\n  8 of 8 candidates were timed under a power cap\n  device 1: ") != std::string::npos);
  CHECK(r.out.find("\n  device 0: ") != std::string::npos);
  std::set<std::string> search;
  const std::string lines = tool("records export " + db).out;
  for (std::size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
    const auto record = nlohmann::json::parse(lines.substr(at, end - at));
    CHECK(record.at("device") == "Fake 40");
    CHECK(record.at("chip").at("power_w") == 612.4);
    if (record.at("round") == 1) CHECK(record.at("uuid") == "29292929-2929-2929-2929-292929292929");  // the first of the list
    else search.insert(record.at("uuid"));
  }
  for (const std::string& uuid : search) CHECK((uuid == "28282828-2828-2828-2828-282828282828" || uuid == "29292929-2929-2929-2929-292929292929"));
  CHECK(tool("records list " + db).out.find(" MHz, 612 W, 61 °C, power cap)\n") != std::string::npos);

  // The same space again: what is recorded is not measured again, and `explain` shows it.
  const auto j = parsed(on_gpus(f.path, "132,132", "tune " + mm + db + "--devices all --trials 8 --json"));
  CHECK(j["resumed"] == 8);
  CHECK(j["steadiness"]["power_cap"] == 8);
  CHECK(j["devices"].size() == 2);
  const Ran explained = tool("explain " + db);
  INFO(explained.out << explained.err);
  CHECK(explained.out.starts_with("mm K=64,M=64,N=64 on cuda/sm_90a/132: 8 measured, 0 failed, in " + f.path + "/r.db\n  the best candidate "));
  CHECK(explained.out.find(" MHz, 612 W, 61 °C") != std::string::npos);
}

TEST_CASE("cli: a GPU that is lost while tuning leaves its candidates to the other one", "[slow]") {
  const TemporaryFolder f;
  if (!nvrtc_available() || !test::build_fake_cuda(f.path)) return;
  const Ran r = on_gpus(f.path, "132,132", "tune " + mm + "--records " + f.path + "/r.db --devices all --trials 6 --candidate-limit 60000", "FAKE_CUDA_LOST=" + f.path + "/lost");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
  CHECK(r.out.find("(6 trials, 0 failed, ") != std::string::npos);
  CHECK(r.out.find("\n  device 0: 6 candidates\n  device 1: 0 candidates, then it was lost: the reference of 'mm' failed: the CUDA driver refused a context on device 1: ") != std::string::npos);
  // Alone it cannot even begin.
  CHECK(on_gpus(f.path, "132,132", "tune " + mm + "--records " + f.path + "/r.db --device 1", "FAKE_CUDA_LOST=" + f.path + "/lost").err.starts_with("error E0528: the reference of 'mm' failed: "));
}

TEST_CASE("cli: run --bench says at which clock", "[slow]") {
  const TemporaryFolder f;
  if (!nvrtc_available() || !test::build_fake_cuda(f.path) || !test::build_fake_nvml(f.path)) return;
  const Ran r = on_gpus(f.path, "132", "run " + mm + "--bench --schedule naive");
  INFO(r.out << r.err);
  CHECK(r.out.find(" on Fake 40 (2040 MHz, 612 W, 61 °C)\n") != std::string::npos);
  const auto j = parsed(on_gpus(f.path, "132,132", "run " + mm + "--device 1 --bench --schedule naive --json"));
  CHECK(j["chip"]["sm_mhz"] == 2041);  // the chip on the bus of that device
  CHECK(j["chip"]["memory_mhz"] == 2619);
}
