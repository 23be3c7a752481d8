#include <condition_variable>
#include <mutex>
#include <thread>

#include "autotune/measure/runner.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/reference.h"
#include "runtime/cpu/pool.h"
#include "runtime/cuda/driver.h"
#include "autotune/measure/inputs.h"

namespace tecc::autotune {
namespace {

/// Compiles in parallel, each thread in a process of its own, since ptxas may take minutes for a candidate; the runner alone touches the device.
class CudaMeasurer final : public Measurer {
 public:
  CudaMeasurer(const codegen::Workload& w, const codegen::Target& t, const MeasureOptions& o, Injector injector, Message prepare)
      : workload_(w), target_(t), options_(o), injector_(injector), runner_(o, std::move(prepare), w.kernel.name),
        threads_(o.compile_threads ? o.compile_threads : thread_count()) {}

  Check ready() { return runner_.ready(); }
  std::string device() const override { return runner_.device(); }

  Check measure(std::span<const schedule::Trace> candidates, std::optional<double> best_us,
                const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>& stop) override {
    std::vector<std::optional<Result<Message>>> compiled(candidates.size());
    std::mutex mutex;
    std::condition_variable finished;
    std::size_t next = 0;
    bool stopping = false;
    std::vector<std::thread> threads;
    const auto work = [&] {
      RunnerProcess compiler(command());
      for (;;) {
        std::size_t n = 0;
        {
          const std::lock_guard lock(mutex);
          if (stopping || next == candidates.size()) return;
          n = next++;
        }
        Result<Message> one = compile(candidates[n], compiler);
        const std::lock_guard lock(mutex);
        compiled[n] = std::move(one);
        finished.notify_one();
      }
    };
    for (int n = 0; n < std::min<int>(threads_, static_cast<int>(candidates.size())); ++n) threads.emplace_back(work);
    Check result = Ok{};
    for (std::size_t n = 0; n < candidates.size() && result && !stop(); ++n) {
      std::unique_lock lock(mutex);
      finished.wait(lock, [&] { return compiled[n].has_value(); });
      const Result<Message> candidate = *std::move(compiled[n]);
      compiled[n].reset();
      lock.unlock();
      if (!candidate) {
        done(n, failed(Phase::compile, candidate.error()));
        continue;
      }
      if (candidate->contains("failed")) {
        auto why = outcome_of(*candidate);
        if (!why) {
          result = why.error();
          break;
        }
        done(n, *std::move(why));
        continue;
      }
      auto outcome = runner_.time(*candidate, best_us, injector_.fault_of(schedule::hash(candidates[n])));
      if (!outcome) {
        result = outcome.error();
        break;
      }
      if (const auto* m = std::get_if<Measured>(&*outcome)) best_us = std::min(best_us.value_or(1e300), median(m->us));
      done(n, *std::move(outcome));
    }
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    for (std::thread& t : threads) t.join();
    return result;
  }

  Result<std::vector<Outcome>> finals(std::span<const schedule::Trace> candidates, std::uint64_t seed) override {
    std::vector<Message> all(candidates.size());
    std::optional<Refusal> why;
    std::mutex mutex;
    run_tasks(static_cast<std::int64_t>(candidates.size()), [&](std::int64_t n) {
      RunnerProcess compiler(command());
      auto one = compile(candidates[static_cast<std::size_t>(n)], compiler);
      const std::lock_guard lock(mutex);
      if (!one) why = one.error();
      else if (one->contains("failed")) why = refuse(Code::runner_words, one->dump().substr(0, 200));
      else all[static_cast<std::size_t>(n)] = *std::move(one);
    });
    if (why) return *why;
    return runner_.finals(all, seed);
  }

 private:
  std::vector<std::string> command() const { return options_.runner.empty() ? RunnerProcess::own_command() : options_.runner; }

  Result<Message> compile(const schedule::Trace& trace, RunnerProcess& compiler) const {
    if (injector_.fault_of(schedule::hash(trace)) == Fault::compile) return refuse(Code::injected, "compile");
    codegen::Emit emit{};
    emit.cubin = emit.ptx = emit.header = emit.json = emit.object = false;
    emit.cuda = true;
    TECC_TRY(const codegen::Built built, codegen::build(workload_, {{target_, trace}}, emit));
    Message m{{"contract", to_json(built.contract)}, {"images", Message::object()}};
    for (const auto& [file, text] : built.files) {
      if (!file.ends_with(".cu")) continue;
      const Message question{{"op", "compile"}, {"source", text}, {"name", workload_.kernel.name}, {"arch", target_.arch}};
      TECC_TRY(const Message answer, compiler.ask(question, options_.compile_limit_ms, "it compiled"));
      if (!answer.contains("cubin")) return answer;  // why it failed
      m["images"][file.substr(0, file.size() - 3) + ".cubin"] = answer.at("cubin");
    }
    return m;
  }

  const codegen::Workload& workload_;
  codegen::Target target_;
  MeasureOptions options_;
  Injector injector_;
  Runner runner_;
  int threads_;
};

}  // namespace

Result<std::unique_ptr<Measurer>> make_cuda_measurer(const codegen::Workload& w, const codegen::Target& t, const MeasureOptions& o) {
  // Asking the driver here would make a context in this process; the count does not.
  const auto devices = cuda::device_count();
  if (!devices) return refuse(Code::no_measuring, t.arch, message(devices.error()));
  if (o.device >= *devices) return refuse(Code::no_measuring, t.arch, message(refuse(Code::no_device, o.device, *devices)));
  if (!nvrtc_available()) return refuse(Code::no_measuring, t.arch, "NVRTC is missing");
  TECC_TRY(const Injector injector, Injector::from_environment());
  const auto dims = measuring_dims(w);
  TECC_TRY(const codegen::cuda::Reference reference, codegen::cuda::reference(w.lifted, dims, t.arch));
  auto compiled = tecc::compile(reference.source, "reference", t.arch, {{}, false});
  if (!compiled) return refuse(Code::reference_failed, w.kernel.name, message(compiled.error()));
  Message prepare{{"kind", "cuda"}, {"device", o.device}, {"task", to_message(task_of(w, dims, o.seed))},
                  {"contract", to_json(reference.contract)}, {"image", pack(compiled->cubin)}};
  auto m = std::make_unique<CudaMeasurer>(w, t, o, injector, std::move(prepare));
  TECC_CHECK(m->ready());
  return std::unique_ptr<Measurer>(std::move(m));
}

}  // namespace tecc::autotune
