#include "autotune/measure/runner.h"

#include <algorithm>

namespace tecc::autotune {

Result<Outcome> outcome_of(const Message& m) {
  try {
    if (m.contains("us")) {
      Measured out{m.at("us").get<std::vector<double>>(), {}};
      if (m.contains("chip")) out.conditions.chip = chip_from(m.at("chip"));
      if (!out.us.empty()) return Outcome(std::move(out));
    } else if (m.contains("failed")) {
      const Message& f = m.at("failed");
      if (const auto phase = parse_phase(f.at("phase").get<std::string>())) return Outcome(Failed{*phase, f.at("code"), f.at("message"), {}});
    }
  } catch (const nlohmann::json::exception& e) {
    return refuse(Code::runner_words, e.what());
  }
  return refuse(Code::runner_words, m.dump(-1, ' ', false, Message::error_handler_t::replace).substr(0, 200));
}

Runner::Runner(const MeasureOptions& options, Message prepare, std::string what)
    : options_(options), prepare_(std::move(prepare)), what_(std::move(what)),
      process_(options.runner.empty() ? RunnerProcess::own_command() : options.runner) {
  prepare_["op"] = "prepare";
}

Check Runner::ready() {
  if (prepared_ && process_.running()) return Ok{};
  prepared_ = false;
  const auto answer = process_.ask(prepare_, options_.prepare_limit_ms, "it prepared");
  if (!answer) return refuse(Code::reference_failed, what_, message(answer.error()));
  if (answer->contains("failed")) {
    const auto why = outcome_of(*answer);
    process_.stop();
    return refuse(Code::reference_failed, what_, why ? std::get<Failed>(*why).message : message(why.error()));
  }
  device_ = answer->value("device", "");
  uuid_ = answer->value("uuid", "");
  prepared_ = true;
  return Ok{};
}

Result<Outcome> Runner::time(const Message& candidate, std::optional<double> best_us, Fault fault) {
  TECC_CHECK(ready());
  Message question{{"op", "time"}, {"candidate", candidate}, {"best_us", best_us.value_or(0)}, {"inject", name(fault)},
                         {"sampling_ms", options_.sampling_ms}, {"verify", timed_++ % std::max(options_.verify_every, 1) == 0}};
  const auto answer = process_.ask(question, options_.candidate_limit_ms, "it measured");
  Result<Outcome> out = answer ? outcome_of(*answer) : Outcome(failed(answer.error().code == Code::candidate_timeout ? Phase::timeout : Phase::died, answer.error()));
  if (answer && answer->value("restart", false)) process_.stop();
  if (out) conditions(*out).uuid = uuid_;
  return out;
}

Result<std::vector<Outcome>> Runner::finals(const std::vector<Message>& candidates, std::uint64_t seed) {
  TECC_CHECK(ready());
  const Message question{{"op", "finals"}, {"candidates", candidates}, {"seed", seed}, {"rounds", final_rounds}};
  const auto answer = process_.ask(question, options_.candidate_limit_ms * static_cast<std::int64_t>(candidates.size()), "it timed the finalists");
  if (!answer) return answer.error();
  if (!answer->contains("outcomes") || answer->at("outcomes").size() != candidates.size())
    return refuse(Code::runner_words, "another number of finalists");
  std::vector<Outcome> out;
  for (const Message& m : answer->at("outcomes")) {
    TECC_TRY(Outcome o, outcome_of(m));
    conditions(o).uuid = uuid_;
    out.push_back(std::move(o));
  }
  return out;
}

}  // namespace tecc::autotune
