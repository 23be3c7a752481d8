#include <filesystem>
#include <regex>

#include "autotune/pick.h"
#include "codegen/build.h"
#include "tests/support/lowered.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/workload.h"

/// Every stage that --dump-ir writes can be gone on from.
using namespace tecc;

namespace {

codegen::Workload workload(const std::string& file, const std::string& dims, const std::string& types) {
  return test::workload(test::cases().at(file + ".te"), dims, types);
}
codegen::Emit text_only() { return {false, false, true, false, true, false, true}; }

/// Each stage of the dump, fed back: the same text, the same contract (but for the schedule), and the stages behind it again.
void check_stages(const codegen::Workload& w, codegen::Plan plan) {
  const TemporaryFolder f;
  const std::string dump = f.path + "/dump";
  const codegen::Built whole = test::require(codegen::build(w, {plan}, text_only(), dump));
  Contract wanted = whole.contract;
  wanted.schedule.reset();
  std::size_t stages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dump)) {
    const std::string path = entry.path().string(), again = f.path + "/again" + std::to_string(stages++);
    INFO(path);
    plan.from = Source{intern(path.c_str()), test::read_file(path)};
    const auto built = codegen::build(w, {plan}, text_only(), again);
    if (!built) FAIL(render(built.error()));
    CHECK(built->files.at(w.kernel.name + ".cu") == whole.files.at(w.kernel.name + ".cu"));
    CHECK(built->contract == wanted);
    for (const auto& left : std::filesystem::directory_iterator(again))
      CHECK(test::read_file(left.path().string()) == test::read_file(dump + "/" + left.path().filename().string()));
  }
  CHECK(stages == compiler::gpu_pipeline().size() + 2);
}

}  // namespace

TEST_CASE("compile from: every stage of a product on plain threads") {
  const codegen::Workload w = workload("gemm", "M=100,N=128,K=64", "T=f32");
  const codegen::Target t = test::require(codegen::find_target("sm_80"));
  check_stages(w, {t, test::require(autotune::pick(w, t))});
}

TEST_CASE("compile from: every stage of a product on tensor cores") {
  const codegen::Workload w = workload("gemm", "M=512,N=512,K=256", "T=bf16");
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/gemm_sm90a.schedule");
  check_stages(w, {test::require(codegen::find_target("sm_90a")), test::require(schedule::parse({intern("s"), text}, w.naive))});
}

TEST_CASE("compile from: every stage of what is chosen for tensor cores") {
  const codegen::Target t = test::require(codegen::find_target("sm_90a"));
  for (const char* dims : {"M=1024,N=1024,K=512", "M=128,N=128,K=8192"}) {
    const codegen::Workload w = workload("gemm", dims, "T=bf16");
    check_stages(w, {t, test::require(autotune::pick(w, t))});
  }
}

TEST_CASE("compile from: every stage of softmax, a runtime dim included") {
  const std::string text = test::read_file(TECC_SOURCE_DIR "/examples/schedules/softmax_rows_sm90a.schedule");
  for (const char* dims : {"M=64,N=4096", "M=1..64,N=4096"}) {
    const codegen::Workload w = workload("softmax", dims, "T=bf16");
    check_stages(w, {test::require(codegen::find_target("sm_90a")), test::require(schedule::parse({intern("s"), text}, w.naive))});
  }
}
