#include <chrono>
#include <condition_variable>
#include <deque>
#include <limits>
#include <map>
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
    std::size_t given = 0;
    const auto next = [&]() -> std::optional<schedule::Trace> {
      return given < candidates.size() ? std::optional(candidates[given++]) : std::nullopt;
    };
    return pump(next, true, best_us, done, stop);
  }
  Check stream(const std::function<std::optional<schedule::Trace>()>& next, const std::function<void(std::size_t, Outcome)>& done,
               const std::function<bool()>& stop) override {
    return pump(next, false, std::nullopt, done, stop);
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

  /// Candidates through the compilers and then, one by one, through the runner. `in_order`: outcomes in the order of next(), which
  /// may then be asked for all of them at once; else as they are ready, with a few in stock so that no compiler waits.
  Check pump(const std::function<std::optional<schedule::Trace>()>& next, bool in_order, std::optional<double> best_us,
             const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>& stop) {
    struct Job {
      std::size_t n;
      schedule::Trace trace;
    };
    std::mutex mutex;  // guards what the compilers touch: these four
    std::condition_variable more, finished;
    std::deque<Job> waiting;
    std::map<std::size_t, std::pair<std::uint64_t, Result<Message>>> compiled;  // by n: hash of the trace, and what came out
    bool stopping = false;
    const auto work = [&] {
      RunnerProcess compiler(command());
      for (;;) {
        std::unique_lock lock(mutex);
        more.wait(lock, [&] { return stopping || !waiting.empty(); });
        if (stopping) return;
        const Job job = std::move(waiting.front());
        waiting.pop_front();
        lock.unlock();
        Result<Message> one = compile(job.trace, compiler);
        lock.lock();
        compiled.emplace(job.n, std::pair(schedule::hash(job.trace), std::move(one)));
        finished.notify_one();
      }
    };
    std::vector<std::thread> threads;
    std::size_t given = 0, known = 0;
    const std::size_t stock = in_order ? std::numeric_limits<std::size_t>::max() : 3 * static_cast<std::size_t>(threads_);
    bool dry = false;
    Check result = Ok{};
    while (result && !stop()) {
      while (!dry && given - known < stock && !stop()) {
        auto trace = next();
        dry = !trace;
        if (dry) break;
        const std::lock_guard lock(mutex);
        waiting.push_back({given++, *std::move(trace)});
        more.notify_one();
        if (threads.size() < static_cast<std::size_t>(threads_)) threads.emplace_back(work);
      }
      if (known == given) break;
      std::unique_lock lock(mutex);
      const auto ready = [&] { return in_order ? compiled.count(known) > 0 : !compiled.empty(); };
      if (!finished.wait_for(lock, std::chrono::milliseconds(100), ready)) continue;  // to ask stop() again
      auto taken = compiled.extract(in_order ? compiled.find(known) : compiled.begin());
      lock.unlock();
      ++known;
      auto outcome = outcome_of_compiled(taken.mapped().second, taken.mapped().first, best_us);
      if (!outcome) {
        result = outcome.error();
        break;
      }
      if (const auto* m = std::get_if<Measured>(&*outcome)) best_us = std::min(best_us.value_or(1e300), median(m->us));
      done(taken.key(), *std::move(outcome));
    }
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      more.notify_all();
    }
    for (std::thread& t : threads) t.join();
    return result;
  }

  Result<Outcome> outcome_of_compiled(const Result<Message>& candidate, std::uint64_t trace_hash, std::optional<double> best_us) {
    if (!candidate) return Outcome(failed(Phase::compile, candidate.error()));
    if (candidate->contains("failed")) return outcome_of(*candidate);
    return runner_.time(*candidate, best_us, injector_.fault_of(trace_hash));
  }

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
