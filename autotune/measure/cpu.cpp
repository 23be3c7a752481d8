#include "autotune/measure/runner.h"
#include "autotune/measure/serve.h"

namespace tecc::autotune {
namespace {

class NoBench final : public Bench {
 public:
  Result<std::string> prepare(const Message&) override { return refuse(Code::no_measuring, "CPUs", "this tecc was built without LLVM"); }
  Result<std::unique_ptr<Loaded>> load(const Message&) override { return refuse(Code::no_measuring, "CPUs", "this tecc was built without LLVM"); }
};

}  // namespace

std::unique_ptr<Bench> cpu_bench() { return std::make_unique<NoBench>(); }

Result<std::unique_ptr<Measurer>> make_cpu_measurer(const codegen::Workload&, const codegen::Target& t, const MeasureOptions&) {
  return refuse(Code::no_measuring, t.arch, "this tecc was built without LLVM");
}

}  // namespace tecc::autotune
