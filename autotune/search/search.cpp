#include "autotune/search/search.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "autotune/record/record.h"
#include "runtime/cpu/pool.h"

namespace tecc::autotune {
namespace {

constexpr std::size_t first_sample = 256;   // random points that the prior orders before anything was measured
constexpr std::size_t prior_sample = 1024;  // mode prior
constexpr std::size_t parents_kept = 24;    // the best measured points breed
constexpr std::size_t brood = 128;          // children a generation
constexpr int generations = 3;
constexpr double random_share = 0.15;       // of every batch: the model does not know what it has not seen
constexpr double deviation_share = 0.5;     // of the first batches
constexpr double step_share = 0.6;          // mutations that go to a neighbouring option rather than anywhere
constexpr double cross_share = 0.4;
constexpr std::size_t least_apart = 2;      // decisions between the candidates of a batch, while there are such: twins teach little
constexpr std::size_t fewest_rows = 12;     // measured points before the model is asked

std::size_t below(Rng& rng, std::size_t n) { return static_cast<std::size_t>(rng() % n); }
bool chance(Rng& rng, double p) { return static_cast<double>(rng() >> 11) * 0x1p-53 < p; }

}  // namespace

std::string_view name(Mode mode) {
  constexpr std::string_view names[] = {"evolutionary", "random", "prior"};
  return names[static_cast<std::size_t>(mode)];
}
std::optional<Mode> parse_mode(std::string_view text) {
  for (const Mode m : {Mode::evolutionary, Mode::random, Mode::prior})
    if (name(m) == text) return m;
  return std::nullopt;
}

Genome mutate(const Genome& genome, Rng& rng) {
  Genome out = genome;
  std::vector<std::size_t> open;
  for (std::size_t n = 0; n < out.size(); ++n)
    if (out[n].options.size() > 1) open.push_back(n);
  if (open.empty()) return out;
  Choice& c = out[open[below(rng, open.size())]];
  const auto at = static_cast<std::size_t>(std::find(c.options.begin(), c.options.end(), c.value) - c.options.begin());
  const bool gone = at == c.options.size();  // crossing took it over from a genome with other options
  std::size_t to = below(rng, c.options.size() - (gone ? 0 : 1));  // any other
  if (to >= at) ++to;
  if (!gone && chance(rng, step_share)) to = at == 0 ? 1 : at + 1 == c.options.size() || chance(rng, 0.5) ? at - 1 : at + 1;
  c.value = c.options[to];
  return out;
}

Genome cross(const Genome& a, const Genome& b, Rng& rng) {
  Genome out = a;
  for (Choice& c : out) {
    if (!chance(rng, 0.5)) continue;
    for (const Choice& other : b)
      if (other.name == c.name) c.value = other.value;  // where it is no option any more, the Chooser answers anew
  }
  for (const Choice& other : b)  // decisions that only b came to
    if (std::none_of(a.begin(), a.end(), [&](const Choice& c) { return c.name == other.name; })) out.push_back(other);
  return out;
}

std::size_t apart(const Genome& a, const Genome& b) {
  std::size_t common = 0, equal = 0;
  for (const Choice& c : a)
    for (const Choice& other : b)
      if (c.name == other.name) ++common, equal += c.value == other.value;
  return a.size() + b.size() - common - equal;
}

Search::Search(const Space& space, Mode mode, std::uint64_t seed, std::unique_ptr<Scorer> scorer)
    : space_(space), mode_(mode), rng_(seed), scorer_(std::move(scorer)) {}

/// Points of the genomes, in order, those already proposed left out. Each has its own generator, drawn in order, so that the number
/// of threads does not matter.
std::vector<Point> Search::make_all(const std::vector<Genome>& wanted, bool fill) {
  std::vector<std::uint64_t> seeds;
  for (std::size_t n = 0; n < wanted.size(); ++n) seeds.push_back(rng_());
  std::vector<std::optional<Result<Point>>> made(wanted.size());
  run_tasks(static_cast<std::int64_t>(wanted.size()), [&](std::int64_t n) {
    const auto at = static_cast<std::size_t>(n);
    Rng own(seeds[at]);
    made[at] = space_.make(Chooser(wanted[at], fill ? &own : nullptr));
  });
  std::vector<Point> out;
  std::set<std::string> here;
  for (auto& each : made) {
    ++attempts_;
    Result<Point>& point = *each;
    if (!point) {
      refused_.add(number(point.error().code), name(Phase::lower), message(point.error()));
    } else if (!seen_.count(point->program_hash) && here.insert(point->program_hash).second) {
      out.push_back(*std::move(point));
    }
  }
  return out;
}

/// One decision of the genome taken otherwise, and all that follow as the rules prefer them then: for each decision the option that ranks first, in the
/// order of the decisions. What a decision is worth shows only in company of those that go with it, which random points rarely have.
std::vector<Point> Search::deviations(const Genome& genome) {
  std::vector<Genome> wanted;
  for (std::size_t n = 0; n < genome.size(); ++n)
    for (const std::int64_t option : genome[n].options) {
      if (option == genome[n].value) continue;
      wanted.emplace_back(genome.begin(), genome.begin() + static_cast<std::ptrdiff_t>(n) + 1);
      wanted.back().back().value = option;
    }
  std::vector<Point> all = make_all(wanted, false);
  rank(all);
  const auto first_difference = [&](const Point& p) { return std::mismatch(genome.begin(), genome.end(), p.genome.begin(), p.genome.end()).first - genome.begin(); };
  std::stable_sort(all.begin(), all.end(), [&](const Point& a, const Point& b) { return first_difference(a) < first_difference(b); });
  all.erase(std::unique(all.begin(), all.end(), [&](const Point& a, const Point& b) { return first_difference(a) == first_difference(b); }), all.end());
  return all;
}

std::vector<Point> Search::sample(std::size_t count) { return make_all(std::vector<Genome>(count), true); }

std::vector<Point> Search::children(std::size_t count, const std::vector<const Genome*>& parents) {
  std::vector<Genome> wanted;
  for (std::size_t n = 0; n < count; ++n) {
    // Better parents stand in front: the smaller of two draws prefers them.
    const Genome& a = *parents[std::min(below(rng_, parents.size()), below(rng_, parents.size()))];
    Genome child = chance(rng_, cross_share) ? cross(a, *parents[below(rng_, parents.size())], rng_) : a;
    child = mutate(child, rng_);
    if (chance(rng_, 0.3)) child = mutate(child, rng_);
    wanted.push_back(std::move(child));
  }
  return make_all(wanted, true);
}

void Search::rank(std::vector<Point>& points) const {
  std::vector<const Point*> all;
  for (const Point& p : points) all.push_back(&p);
  const std::vector<float> scores = mode_ == Mode::evolutionary && scorer_ && scorer_->ready() ? scorer_->score(all) : std::vector<float>();
  std::vector<std::size_t> order(points.size());
  for (std::size_t n = 0; n < order.size(); ++n) order[n] = n;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return scores.empty() ? points[a].prior_us < points[b].prior_us : scores[a] > scores[b];
  });
  std::vector<Point> sorted;
  for (std::size_t n : order) sorted.push_back(std::move(points[n]));
  points = std::move(sorted);
}

/// Moves points that were not proposed before from the front of one list to the other, until that holds `count`.
void Search::take(std::vector<Point>& from, std::size_t count, std::vector<Point>& to) {
  std::size_t n = 0;
  for (; n < from.size() && to.size() < count; ++n)
    if (seen_.insert(from[n].program_hash).second) to.push_back(std::move(from[n]));
  from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
}

/// The same with candidates that differ from each other; what is too close stays in `from`.
void Search::take_apart(std::vector<Point>& from, std::size_t count, std::vector<Point>& to) {
  std::vector<Point> left;
  for (Point& p : from) {
    const bool close = std::any_of(to.begin(), to.end(), [&](const Point& q) { return apart(p.genome, q.genome) < least_apart; });
    if (to.size() >= count || close) left.push_back(std::move(p));
    else if (seen_.insert(p.program_hash).second) to.push_back(std::move(p));
  }
  from = std::move(left);
}

std::vector<Point> Search::evolve(std::size_t count) {
  teach();
  std::vector<const Genome*> parents;
  for (std::size_t n = 0; n < known_.size() && n < parents_kept; ++n) parents.push_back(&known_[n].point.genome);
  std::vector<Point> pool, fresh = sample(brood / 4);
  for (const Point& p : fresh) parents.push_back(&p.genome);
  std::vector<Point> bred;  // parents points into it: replaced only after they are
  for (int g = 0; g < generations && !parents.empty(); ++g) {
    std::vector<Point> generation = children(brood, parents);
    rank(generation);
    pool.insert(pool.end(), generation.begin(), generation.end());
    parents.clear();
    for (std::size_t n = 0; n < known_.size() && n < parents_kept / 2; ++n) parents.push_back(&known_[n].point.genome);
    bred = std::move(generation);
    for (std::size_t n = 0; n < bred.size() && n < brood / 4; ++n) parents.push_back(&bred[n].genome);
  }
  std::vector<Point> out;
  take_ranked(std::move(pool), std::move(fresh), count, out);
  return out;
}

/// The best of a pool that differ from each other, and a share of points that nobody chose.
void Search::take_ranked(std::vector<Point> pool, std::vector<Point> fresh, std::size_t count, std::vector<Point>& to) {
  rank(pool);
  const std::size_t room = to.size() < count ? count - to.size() : 0;
  const std::size_t chosen = count - static_cast<std::size_t>(std::lround(random_share * static_cast<double>(room)));
  take_apart(pool, chosen, to);
  take(pool, chosen, to);
  take(fresh, count, to);
  take(pool, count, to);
}

std::vector<Point> Search::next(std::size_t count) {
  std::vector<Point> out;
  if (!count) return out;
  if (!began_) {
    began_ = true;
    if (auto first = space_.preferred()) {
      std::vector<Point> one;
      if (mode_ == Mode::evolutionary) queue_ = deviations(first->genome);
      one.push_back(*std::move(first));
      take(one, count, out);
    }
    if (!suggested_.empty()) {
      std::vector<Point> near = make_all(suggested_, false);
      take(near, count, out);
    }
    if (mode_ == Mode::prior) {
      queue_ = sample(prior_sample);
      rank(queue_);
    }
  }
  if (mode_ == Mode::evolutionary) take(queue_, std::min(count, out.size() + static_cast<std::size_t>(std::lround(deviation_share * static_cast<double>(count)))), out);
  constexpr int attempts = 4;  // a small space is exhausted, not searched for ever
  for (int n = 0; n < attempts && out.size() < count; ++n) {
    std::vector<Point> more;
    if (mode_ == Mode::prior) {
      take(queue_, count, out);
      return out;
    }
    if (mode_ == Mode::random) {
      more = sample(2 * (count - out.size()));
    } else if (known_.empty()) {
      take_ranked(sample(first_sample), sample(count), count, out);
      continue;
    } else {
      more = evolve(count - out.size());
      for (Point& p : more) out.push_back(std::move(p));
      continue;
    }
    take(more, count, out);
  }
  return out;
}

void Search::learn(const Point& point, std::optional<double> us) {
  seen_.insert(point.program_hash);
  if (!us) return;
  const auto at = std::upper_bound(known_.begin(), known_.end(), *us, [](double t, const Known& k) { return t < k.us; });
  known_.insert(at, {point, *us});
  untaught_ = true;
}

void Search::teach() {
  if (!untaught_ || !scorer_ || known_.size() < fewest_rows) return;
  untaught_ = false;
  std::vector<Scorer::Row> rows;
  for (const Known& k : known_)
    if (!k.point.features.empty()) rows.push_back({k.point.features, k.us});
  if (rows.size() >= fewest_rows) (void)scorer_->train(rows);  // a model that cannot be trained does not rank
}

}  // namespace tecc::autotune
