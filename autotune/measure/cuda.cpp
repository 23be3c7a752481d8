#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <thread>

#include "autotune/measure/inputs.h"
#include "autotune/measure/runner_pool.h"
#include "codegen/cuda/agreement.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/reference.h"
#include "runtime/cpu/pool.h"
#include "runtime/cuda/driver.h"

namespace tecc::autotune {
namespace {

/// Compiles in parallel, each thread in a process of its own, since ptxas may take minutes for a candidate; the runners alone touch the devices.
class CudaMeasurer final : public Measurer {
 public:
  CudaMeasurer(const codegen::Workload& w, const codegen::Target& t, const MeasureOptions& o, Injector injector, const std::vector<Message>& prepare)
      : workload_(w), target_(t), options_(o), injector_(injector), runners_(o, prepare, w.kernel.name),
        threads_(o.compile_threads ? o.compile_threads : thread_count()) {}

  Check ready() { return runners_.ready(); }
  std::string device() const override { return runners_.device(); }
  std::vector<Unit> units() const override { return runners_.units(); }

  Check measure(std::span<const schedule::Trace> candidates, std::optional<double> best_us,
                const std::function<void(std::size_t, Outcome)>& done, const std::function<bool()>& stop) override {
    std::size_t given = 0;
    const auto next = [&]() -> std::optional<schedule::Trace> {
      return given < candidates.size() ? std::optional(candidates[given++]) : std::nullopt;
    };
    runners_.beat(best_us);
    return pump(next, done, stop);
  }
  Check stream(const std::function<std::optional<schedule::Trace>()>& next, const std::function<void(std::size_t, Outcome)>& done,
               const std::function<bool()>& stop) override {
    runners_.beat({});
    return pump(next, done, stop);
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
    return runners_.finals(all, seed);
  }

 private:
  std::vector<std::string> command() const { return options_.runner.empty() ? RunnerProcess::own_command() : options_.runner; }

  /// Candidates through the compilers and then through the runners, with a few in stock so that no compiler and no device waits.
  Check pump(const std::function<std::optional<schedule::Trace>()>& next, const std::function<void(std::size_t, Outcome)>& done,
             const std::function<bool()>& stop) {
    struct Job {
      std::size_t n;
      schedule::Trace trace;
    };
    std::mutex mutex;  // guards what compilers and runners touch: these five
    std::condition_variable more, finished;
    std::deque<Job> waiting;
    std::deque<std::pair<std::size_t, Result<Outcome>>> outcomes;
    bool stopping = false;
    const auto finish = [&](std::size_t n, Result<Outcome> outcome) {
      const std::lock_guard lock(mutex);
      outcomes.emplace_back(n, std::move(outcome));
      finished.notify_one();
    };
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
        if (!one) finish(job.n, Outcome(failed(Phase::compile, one.error())));
        else if (one->contains("failed")) finish(job.n, outcome_of(*one));
        else runners_.give(*std::move(one), injector_.fault_of(schedule::hash(job.trace)), [&finish, n = job.n](Result<Outcome> outcome) { finish(n, std::move(outcome)); });
      }
    };
    std::vector<std::thread> threads;
    std::size_t given = 0, known = 0;
    const std::size_t stock = 3 * static_cast<std::size_t>(threads_) + options_.devices.size();
    bool dry = false;
    Check result = Ok{};
    const auto tell = [&](std::unique_lock<std::mutex>& lock) {  // what is known
      while (!outcomes.empty()) {
        auto [n, outcome] = std::move(outcomes.front());
        outcomes.pop_front();
        lock.unlock();
        ++known;
        if (outcome) done(n, *std::move(outcome));
        else if (result) result = outcome.error();
        lock.lock();
      }
    };
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
      finished.wait_for(lock, std::chrono::milliseconds(100), [&] { return !outcomes.empty(); });  // at times only to ask stop() again
      tell(lock);
    }
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      more.notify_all();
    }
    for (std::thread& t : threads) t.join();
    runners_.drain();
    std::unique_lock lock(mutex);
    tell(lock);  // what was being timed
    return result;
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
      TECC_TRY(const Message answer, compiler.ask(question, options_.compile_limit_ms, "it compiled", Code::compile_timeout));
      if (!answer.contains("cubin")) return answer;  // why it failed
      m["images"][file.substr(0, file.size() - 3) + ".cubin"] = answer.at("cubin");
    }
    return m;
  }

  const codegen::Workload& workload_;
  codegen::Target target_;
  MeasureOptions options_;
  Injector injector_;
  RunnerPool runners_;
  int threads_;
};

/// Devices of one kind. E0604 E0534.
Check alike(const std::vector<int>& devices) {
  std::optional<cuda::DeviceFacts> first;
  const auto said = [](const cuda::DeviceFacts& f) { return fmt::format("device {} is {} with {} SMs", f.ordinal, f.name, f.sm_count); };
  for (const int ordinal : devices) {
    TECC_TRY(const cuda::DeviceFacts facts, cuda::device_facts(ordinal));
    if (!first) first = facts;
    if (facts.name != first->name || facts.sm_count != first->sm_count)
      return refuse(Code::devices_differ, first->ordinal, facts.ordinal, said(*first) + ", " + said(facts));
  }
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<Measurer>> make_cuda_measurer(const codegen::Workload& w, const codegen::Target& t, const MeasureOptions& o) {
  // Facts and count make no context in this process, which has none to lose.
  const auto count = cuda::device_count();
  if (!count) return refuse(Code::no_measuring, t.arch, message(count.error()));
  for (const int device : o.devices)
    if (device >= *count) return refuse(Code::no_measuring, t.arch, message(refuse(Code::no_device, device, *count)));
  TECC_CHECK(alike(o.devices));
  if (!nvrtc_available()) return refuse(Code::no_measuring, t.arch, "NVRTC is missing");
  TECC_TRY(const Injector injector, Injector::from_environment());
  const auto dims = measuring_dims(w);
  TECC_TRY(const codegen::cuda::Reference reference, codegen::cuda::reference(w.lifted, dims, t.arch));
  const TaskSpec task = task_of(w, dims, o.seed);
  std::vector<codegen::cuda::Output> outputs;
  for (const OutputSpec& out : task.outputs) outputs.push_back({out.type, std::accumulate(out.shape.begin(), out.shape.end(), std::int64_t{1}, std::multiplies<>())});
  const codegen::cuda::Agreement agreement = codegen::cuda::agreement(outputs, t.arch);
  const auto plain = [&](const std::string& source, const char* what) -> Result<Message> {
    auto compiled = tecc::compile(source, what, t.arch, {{}, false});
    if (!compiled) return refuse(Code::reference_failed, w.kernel.name, message(compiled.error()));
    return pack(compiled->cubin);
  };
  TECC_TRY(const Message image, plain(reference.source, "reference"));
  TECC_TRY(const Message agreement_image, plain(agreement.source, "agreement"));
  std::vector<Message> prepare;
  for (const int device : o.devices)
    prepare.push_back({{"kind", "cuda"}, {"device", device}, {"task", to_message(task)}, {"contract", to_json(reference.contract)}, {"image", image},
                       {"agreement", to_json(agreement.contract)}, {"agreement_image", agreement_image}});
  auto m = std::make_unique<CudaMeasurer>(w, t, o, injector, prepare);
  TECC_CHECK(m->ready());
  return std::unique_ptr<Measurer>(std::move(m));
}

}  // namespace tecc::autotune
