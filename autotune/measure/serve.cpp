#include "autotune/measure/serve.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "autotune/measure/measurer.h"
#include "autotune/measure/process.h"
#include "autotune/record/conditions.h"
#include "codegen/cuda/nvrtc.h"

namespace tecc::autotune {
namespace {

Message failure(Phase phase, const Refusal& why) {
  const Failed f = failed(phase, why);
  Message m{{"failed", {{"phase", name(f.phase)}, {"code", f.code}, {"message", f.message}}}};
  // After an error of the driver the context may be lost: a fresh process is cheap, a wrong verdict is not.
  m["restart"] = why.code == Code::driver_failed || why.code == Code::out_of_memory;
  return m;
}

Message answer_of(const cuda::Timed& timed) {
  Message m{{"us", timed.us}};
  if (timed.chip) m["chip"] = to_json(*timed.chip);
  return m;
}

void inject(const Message& m) {
  const std::string fault = m.value("inject", "none");
  if (fault == "hang")
    for (;;) ::pause();
  if (fault == "die") ::raise(SIGKILL);
}

Message time_one(Bench& bench, const Message& m) {
  inject(m);
  auto loaded = bench.load(m.at("candidate"));
  if (!loaded) return failure(Phase::load, loaded.error());
  const bool verify = m.value("verify", true);
  if (const Check right = verify ? (*loaded)->check(m.value("inject", "none") == "wrong") : Check(Ok{}); !right) {
    const Code code = right.error().code;
    return failure(code == Code::wrong_result || code == Code::guard_touched ? Phase::wrong : Phase::run, right.error());
  }
  const auto first = (*loaded)->time_us(verify ? 0 : 1, 1);  // the first launch of all loads the module
  if (!first) return failure(Phase::run, first.error());
  const double best = m.value("best_us", 0.0);
  if (best > 0 && first->us[0] > give_up_ratio * best) return answer_of(*first);
  const int runs = std::clamp(static_cast<int>(m.at("sampling_ms").get<double>() * 1000 / std::max(first->us[0], 1.0)), least_runs, most_runs);
  const auto all = (*loaded)->time_us(1, runs);
  if (!all) return failure(Phase::run, all.error());
  return answer_of(*all);
}

/// NVRTC, where it can be stopped.
Message compiled(const Message& m) {
  const auto image = compile(m.at("source").get<std::string>(), m.at("name").get<std::string>(), m.at("arch").get<std::string>(), {{}, false});
  if (!image) return failure(Phase::compile, image.error());
  return {{"cubin", pack(image->cubin)}};
}

Message finals(Bench& bench, const Message& m) {
  const Message& list = m.at("candidates");
  std::vector<std::unique_ptr<Bench::Loaded>> loaded;
  std::vector<Bench::Loaded*> ready;
  std::vector<std::size_t> places;  // in the list, of those that are ready
  std::vector<Message> answers(list.size());
  for (std::size_t n = 0; n < list.size(); ++n) {
    auto one = bench.load(list[n]);
    if (!one) {
      answers[n] = failure(Phase::load, one.error());
      continue;
    }
    ready.push_back(loaded.emplace_back(*std::move(one)).get());
    places.push_back(n);
  }
  std::mt19937_64 rng(m.at("seed").get<std::uint64_t>());
  std::vector<std::size_t> round(ready.size()), order;
  std::iota(round.begin(), round.end(), 0);
  for (int left = m.at("rounds").get<int>(); left > 0; --left) {
    for (std::size_t n = round.size(); n > 1; --n) std::swap(round[n - 1], round[rng() % n]);
    order.insert(order.end(), round.begin(), round.end());
  }
  const auto timed = bench.time_in_turns(ready, order);
  for (std::size_t n = 0; n < ready.size(); ++n) answers[places[n]] = timed ? answer_of((*timed)[n]) : failure(Phase::run, timed.error());
  return {{"outcomes", answers}};
}

}  // namespace

int serve(int fd) {
  die_with_parent();
  std::unique_ptr<Bench> bench;
  for (;;) {
    const auto question = receive(fd, std::nullopt);
    if (!question) return 0;
    Message answer;
    try {
      const std::string op = question->at("op");
      if (op == "prepare") {
        bench = question->at("kind") == "cuda" ? cuda_bench() : cpu_bench();
        const auto device = bench->prepare(*question);
        answer = device ? Message{{"device", device->name}, {"uuid", device->uuid}} : failure(Phase::load, device.error());
      } else if (op == "compile") {
        answer = compiled(*question);
      } else if (!bench) {
        answer = failure(Phase::load, refuse(Code::runner_words, "a question before 'prepare'"));
      } else if (op == "time") {
        answer = time_one(*bench, *question);
      } else if (op == "finals") {
        answer = finals(*bench, *question);
      } else {
        answer = failure(Phase::load, refuse(Code::runner_words, "an unknown question '" + op + "'"));
      }
    } catch (const nlohmann::json::exception& e) {
      answer = failure(Phase::load, refuse(Code::runner_words, e.what()));
    }
    if (!send(fd, answer)) return 0;
    if (answer.value("restart", false)) return 0;
  }
}

}  // namespace tecc::autotune
