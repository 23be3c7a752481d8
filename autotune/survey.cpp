#include "autotune/survey.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <deque>

#include "autotune/model/ranker.h"
#include "autotune/record/workload.h"
#include "autotune/search/enumerate.h"

namespace tecc::autotune {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t random_batch = 32;   // drawn at a time
constexpr std::int64_t most_genomes = 20'000;  // asked for to see whether a space is complete: half a minute
constexpr std::size_t evolved_batch = 16;  // a generation costs some hundred lowerings whatever its size

class Run {
 public:
  Run(const codegen::Workload& w, const codegen::Target& t, Measurer& m, const SurveyOptions& o, const std::function<Check(const Record&)>& keep,
      const std::function<void(const Surveyed&)>& progress, const std::function<bool()>& stop)
      : workload_(w), target_(t), measurer_(m), options_(o), keep_(keep), progress_(progress), stop_(stop), space_(w, t),
        random_(space_, Mode::random, o.seed), evolved_(space_, Mode::evolutionary, o.seed, std::make_unique<Ranker>(o.seed)) {}

  Result<Surveyed> go(const std::vector<Record>& earlier) {
    for (const Record& r : earlier) recall(r);
    TECC_CHECK(measurer_.stream([&] { return next(); }, [&](std::size_t n, const Outcome& outcome) { note(n, outcome); }, [&] { return over() || !kept_; }));
    TECC_CHECK(kept_);
    if (drawn_ == 0) return refuse(Code::empty_space, workload_.kernel.name, target_.arch, random_.attempts(), "none");
    if (!stop_()) TECC_CHECK(time_again());
    out_.complete = out_.complete && stock_.empty() && pending_.empty();
    out_.seconds = seconds();
    return out_;
  }

 private:
  struct Drawn {
    Point point;
    std::string_view by;
  };

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  bool over() const { return stop_() || (options_.seconds && seconds() >= *options_.seconds); }

  void count(const Outcome& outcome) {
    out_.steadiness.timed(outcome);
    if (const auto* m = std::get_if<Measured>(&outcome)) {
      ++out_.measured;
      out_.best_us = std::min(out_.best_us.value_or(median(m->us)), median(m->us));
    } else {
      ++out_.failed;
    }
  }
  void learn(const Point& p, const Outcome& outcome) {
    const auto* m = std::get_if<Measured>(&outcome);
    const std::optional<double> us = m ? std::optional(median(m->us)) : std::nullopt;
    random_.learn(p, us);
    evolved_.learn(p, us);
    if (us) best_.push_back({*us, p});
  }

  void recall(const Record& r) {
    if (r.round != 0 || r.workload != workload_.hash) return;
    ++drawn_, drawn_random_ += r.search == name(Mode::random);
    seen_.insert(r.program_hash);
    count(r.outcome);
    if (const auto p = point_of(r, workload_, target_)) return learn(*p, r.outcome);
    random_.skip(r.program_hash), evolved_.skip(r.program_hash);
  }

  /// Fills the stock from the search whose turn it is, from the other one where that has nothing new.
  void draw() {
    const bool random_turn = drawn_random_ <= options_.random_share * drawn_;
    for (const Mode mode : random_turn ? std::array{Mode::random, Mode::evolutionary} : std::array{Mode::evolutionary, Mode::random}) {
      Search& search = mode == Mode::random ? random_ : evolved_;
      Search& other = mode == Mode::random ? evolved_ : random_;
      for (Point& p : search.next(mode == Mode::random ? random_batch : evolved_batch)) {
        other.skip(p.program_hash);
        seen_.insert(p.program_hash);
        stock_.push_back({std::move(p), name(mode)});
      }
      if (!stock_.empty()) return;
    }
    if (out_.complete) return;
    // Drawing finds the last points of a small space late, and cannot tell that there are no others.
    std::int64_t genomes = 0;
    const auto all = enumerate(space_, [&](Result<Point> p) {
      if (p && !seen_.count(p->program_hash)) stock_.push_back({*std::move(p), "enumerated"}), seen_.insert(stock_.back().point.program_hash);
      return ++genomes < most_genomes && !over();
    });
    out_.complete = all.has_value();
  }

  std::optional<schedule::Trace> next() {
    if (drawn_ >= options_.points) return std::nullopt;
    if (stock_.empty()) draw();
    if (stock_.empty()) return std::nullopt;
    Drawn d = std::move(stock_.front());
    stock_.pop_front();
    ++drawn_, drawn_random_ += d.by == name(Mode::random);
    const schedule::Trace trace = d.point.trace;
    pending_.emplace(given_++, std::move(d));
    return trace;
  }

  Check add(const Point& p, Outcome outcome, std::string_view search, int round) {
    if (auto* m = std::get_if<Measured>(&outcome))  // timers resolve half a microsecond; more digits are noise in a file
      for (double& us : m->us) us = std::max(std::round(us * 1000) / 1000, 0.001);
    Record r = record_of(workload_, target_, measurer_.device(), p, outcome);
    r.search = search;
    r.round = round;
    r.seed = options_.seed;
    return keep_(r);
  }

  void note(std::size_t n, const Outcome& outcome) {
    const auto d = pending_.extract(n);
    count(outcome);
    learn(d.mapped().point, outcome);
    if (const Check kept = add(d.mapped().point, outcome, d.mapped().by, 0); !kept) kept_ = kept;
    out_.seconds = seconds();
    if (progress_) progress_(out_);
  }

  Check time_again() {
    std::stable_sort(best_.begin(), best_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    best_.resize(std::min(best_.size(), static_cast<std::size_t>(options_.retimed)));
    if (best_.empty()) return Ok{};
    std::vector<schedule::Trace> traces;
    for (const auto& [us, p] : best_) traces.push_back(p.trace);
    const auto outcomes = measurer_.finals(traces, options_.seed);
    if (!outcomes) return Ok{};  // one that kills the runner now: the first times stand
    for (std::size_t n = 0; n < best_.size(); ++n) TECC_CHECK(add(best_[n].second, (*outcomes)[n], "", 1));
    return Ok{};
  }

  const codegen::Workload& workload_;
  const codegen::Target& target_;
  Measurer& measurer_;
  const SurveyOptions& options_;
  const std::function<Check(const Record&)>& keep_;
  const std::function<void(const Surveyed&)>& progress_;
  const std::function<bool()>& stop_;
  ScheduleSpace space_;
  Search random_, evolved_;
  std::set<std::string> seen_;                     // program hashes of all that were drawn
  std::deque<Drawn> stock_;                        // drawn and not yet given away
  std::map<std::size_t, Drawn> pending_;           // given to the measurer
  std::vector<std::pair<double, Point>> best_;     // all that were measured
  std::size_t given_ = 0;
  int drawn_ = 0, drawn_random_ = 0;
  Check kept_ = Ok{};
  Surveyed out_;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace

Result<Surveyed> survey(const codegen::Workload& w, const codegen::Target& t, Measurer& m, const std::vector<Record>& earlier, const SurveyOptions& o,
                        const std::function<Check(const Record&)>& keep, const std::function<void(const Surveyed&)>& progress, const std::function<bool()>& stop) {
  return Run(w, t, m, o, keep, progress, stop).go(earlier);
}

}  // namespace tecc::autotune
