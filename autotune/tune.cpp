#include "autotune/tune.h"

#include "autotune/model/ranker.h"
#include "autotune/model/roofline.h"
#include "autotune/record/neighbours.h"
#include "autotune/record/workload.h"

#include <algorithm>
#include <chrono>

namespace tecc::autotune {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

struct Tuning::State {
  State(const codegen::Workload& w, const codegen::Target& t, Measurer& m, Database& records, const TuneOptions& o,
        const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop)
      : workload_(w), target_(t), measurer_(m), records_(records), options_(o), report_(progress), stop_(stop),
        space_(w, t), search_(space_, o.mode, o.seed, std::make_unique<Ranker>(o.seed, o.model)) {
    progress_.of = o.trials;
  }

  Check begin() {
    TECC_CHECK(resume());
    if (options_.mode == Mode::evolutionary) {
      TECC_TRY(std::vector<Genome> near, neighbours(records_, workload_, target_, static_cast<std::size_t>(options_.batch) / 2));
      search_.begin_with(std::move(near));
    }
    bound_us_ = roofline(workload_, target_, measuring_dims(workload_)).us();
    if (auto first = space_.preferred()) first_ = *std::move(first);
    report();
    return Ok{};
  }

  Result<bool> step(int most) {
    const double enough_us = options_.enough > 0 ? bound_us_ / options_.enough : 0;
    const int room = std::min({options_.batch, options_.trials - progress_.trials, most});
    if (room <= 0 || over() || progress_.best_us.value_or(enough_us + 1) <= enough_us) return false;
    if (options_.plateau && since_better_ >= options_.plateau) return false;
    const std::vector<Point> batch = search_.next(static_cast<std::size_t>(room));
    if (batch.empty()) return false;
    const std::optional<double> before = progress_.best_us;
    TECC_CHECK(measure(batch));
    since_better_ = progress_.best_us == before ? since_better_ + static_cast<int>(batch.size()) : 0;
    return true;
  }

  Result<Tuned> end() {
    if (measured_.empty()) return nothing();
    if (!stop_()) TECC_CHECK(finals());
    return result();
  }

  struct Entry {
    Point point;
    double us;
    Conditions on;
    std::optional<double> final_us;
  };

  bool over() const { return stop_() || (options_.seconds && seconds() >= *options_.seconds); }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  void report() {
    progress_.seconds = seconds();
    if (report_) report_(progress_);
  }

  void count(const Outcome& outcome) {
    if (const auto* m = std::get_if<Measured>(&outcome)) progress_.best_us = std::min(progress_.best_us.value_or(median(m->us)), median(m->us));
    else ++progress_.failed;
  }

  void learn(const Point& p, const Outcome& outcome) {
    steadiness_.timed(outcome);
    if (const auto* m = std::get_if<Measured>(&outcome)) {
      search_.learn(p, median(m->us));
      measured_.push_back({p, median(m->us), m->conditions, {}});
      return;
    }
    search_.learn(p, std::nullopt);
    const Failed& f = std::get<Failed>(outcome);
    failures_.add(f.code, name(f.phase), f.message);
  }

  /// What earlier runs recorded counts and is not measured again; times of other seeds teach the search, too.
  Check resume() {
    TECC_TRY(const std::vector<Record> rows, records_.all(workload_.hash, fingerprint(target_)));
    for (const Record& r : rows) {
      if (r.round != 0 || r.tool != tool_version) continue;
      if (r.seed == options_.seed) ++progress_.trials, ++progress_.resumed;
      auto point = space_.make(Chooser(r.genome));
      if (!point || point->program_hash != r.program_hash) {
        search_.skip(r.program_hash);
        continue;
      }
      count(r.outcome);
      learn(*point, r.outcome);
    }
    return Ok{};
  }

  Record record(const Point& p, const Outcome& outcome, int round) const {
    Record r = record_of(workload_, target_, measurer_.device(), p, outcome);
    r.search = name(options_.mode);
    r.round = round;
    r.seed = options_.seed;
    return r;
  }

  Check measure(const std::vector<Point>& batch) {
    std::vector<schedule::Trace> traces;
    for (const Point& p : batch) traces.push_back(p.trace);
    std::vector<std::optional<Outcome>> known(batch.size());
    Check stored = Ok{};
    TECC_CHECK(measurer_.measure(
        traces, progress_.best_us,
        [&](std::size_t n, Outcome outcome) {
          if (auto added = records_.add(record(batch[n], outcome, 0)); !added && stored) stored = added.error();
          count(outcome);
          known[n] = std::move(outcome);
          ++progress_.trials;
          report();
        },
        [&] { return over() || !stored; }));
    // In the order of the batch, whichever device answered first: the same times make the same search.
    for (std::size_t n = 0; n < batch.size(); ++n)
      if (known[n]) learn(batch[n], *known[n]);
    return stored;
  }

  Check finals() {
    std::stable_sort(measured_.begin(), measured_.end(), [](const Entry& a, const Entry& b) { return a.us < b.us; });
    std::vector<std::size_t> chosen;
    for (std::size_t n = 0; n < measured_.size() && n < static_cast<std::size_t>(options_.finalists); ++n) chosen.push_back(n);
    // The untuned candidate runs along, so that the two numbers of the last line were taken side by side.
    for (std::size_t n = chosen.size(); first_ && n < measured_.size(); ++n)
      if (measured_[n].point.program_hash == first_->program_hash) chosen.push_back(n);
    progress_.finals = true;
    report();
    std::vector<schedule::Trace> traces;
    for (std::size_t n : chosen) traces.push_back(measured_[n].point.trace);
    const auto outcomes = measurer_.finals(traces, options_.seed);
    if (!outcomes) return Ok{};  // a finalist that kills the runner now: the first times stand
    for (std::size_t n = 0; n < chosen.size(); ++n) {
      Entry& e = measured_[chosen[n]];
      TECC_TRY(const bool added, records_.add(record(e.point, (*outcomes)[n], 1)));
      (void)added;
      if (const auto* m = std::get_if<Measured>(&(*outcomes)[n])) e.final_us = median(m->us), e.on = m->conditions;
    }
    return Ok{};
  }

  Result<Tuned> nothing() const {
    const auto list = failures_.by_count();
    if (!list.empty()) return refuse(Code::nothing_measured, progress_.trials, workload_.kernel.name, list[0].code + " " + list[0].example);
    const auto refused = search_.refused().by_count();
    return refuse(Code::empty_space, workload_.kernel.name, target_.arch, search_.attempts(), refused.empty() ? "none" : refused[0].code + " " + refused[0].example);
  }

  Tuned result() const {
    Tuned out;
    // Finalists are compared with each other; without finals, first times. Ties: the smaller hash.
    const Entry* best = nullptr;
    const auto time = [](const Entry& e) { return e.final_us.value_or(e.us); };
    const bool any_final = std::any_of(measured_.begin(), measured_.end(), [](const Entry& e) { return e.final_us.has_value(); });
    for (const Entry& e : measured_) {
      if (any_final && !e.final_us) continue;
      if (!best || time(e) < time(*best) || (time(e) == time(*best) && schedule::hash(e.point.trace) < schedule::hash(best->point.trace))) best = &e;
    }
    for (const Entry& e : measured_)
      if (first_ && e.point.program_hash == first_->program_hash) out.untuned_us = time(e);
    out.tuned_us = time(*best);
    out.best = best->point.trace;
    out.trials = progress_.trials;
    out.resumed = progress_.resumed;
    out.failed = progress_.failed;
    out.seconds = seconds();
    out.best_on = best->on;
    out.steadiness = steadiness_;
    out.failures = failures_.by_count();
    out.refused = search_.refused().by_count();
    out.refused_of = search_.attempts();
    out.stopped = stop_();
    return out;
  }

  const codegen::Workload& workload_;
  const codegen::Target& target_;
  Measurer& measurer_;
  Database& records_;
  const TuneOptions options_;
  const std::function<void(const Progress&)> report_;
  const std::function<bool()> stop_;
  ScheduleSpace space_;
  Search search_;
  std::optional<Point> first_;
  std::vector<Entry> measured_;
  Causes failures_;
  Steadiness steadiness_;
  Progress progress_;
  double bound_us_ = 0;
  int since_better_ = 0;
  Clock::time_point begin_ = Clock::now();
};

Tuning::Tuning(const codegen::Workload& w, const codegen::Target& t, Measurer& m, Database& records, const TuneOptions& o,
               const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop)
    : state_(std::make_unique<State>(w, t, m, records, o, progress, stop)) {}
Tuning::Tuning(Tuning&&) noexcept = default;
Tuning::~Tuning() = default;
Check Tuning::begin() { return state_->begin(); }
Result<bool> Tuning::step(int most) { return state_->step(most); }
Result<Tuned> Tuning::end() { return state_->end(); }
const Progress& Tuning::progress() const { return state_->progress_; }
double Tuning::bound_us() const { return state_->bound_us_; }

Result<Tuned> tune(const codegen::Workload& w, const codegen::Target& t, Measurer& m, Database& records, const TuneOptions& o,
                   const std::function<void(const Progress&)>& progress, const std::function<bool()>& stop) {
  Tuning one(w, t, m, records, o, progress, stop);
  TECC_CHECK(one.begin());
  for (;;) {
    TECC_TRY(const bool more, one.step(o.batch));
    if (!more) return one.end();
  }
}

Result<std::optional<schedule::Trace>> recorded(const codegen::Workload& w, const codegen::Target& t, const Database& records) {
  TECC_TRY(const auto best, records.best_of(w.hash, t));
  if (!best) return std::optional<schedule::Trace>();
  auto trace = schedule::parse({intern("record"), best->record.schedule}, w.naive);
  if (!trace) return refuse(Code::record_stale, w.kernel.name, message(trace.error()));
  // An edited device file may have taken away what the schedule needs.
  if (const auto program = codegen::lowered(w, {t, *trace}); !program) return refuse(Code::record_stale, w.kernel.name, message(program.error()));
  return std::optional<schedule::Trace>(*std::move(trace));
}

}  // namespace tecc::autotune
