#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "autotune/record/causes.h"
#include "autotune/search/space.h"

namespace tecc::autotune {

enum class Mode : std::uint8_t { evolutionary, random, prior };
std::optional<Mode> parse_mode(std::string_view name);
std::string_view name(Mode mode);

/// What ranks points that were not measured; trained on line (autotune/model). A larger score is a better point.
class Scorer {
 public:
  virtual ~Scorer() = default;
  struct Row {
    std::vector<float> features;
    double us;
  };
  virtual Check train(const std::vector<Row>& rows) = 0;
  /// Whether it can rank: it was trained, or brought knowledge with it.
  virtual bool ready() const = 0;
  /// Empty while not ready(), and where the points cannot be scored.
  virtual std::vector<float> score(const std::vector<const Point*>& points) const = 0;
};

/// Proposes batches of points and learns from what became of them. The same seed and the same answers give the same batches.
///   evolutionary  the preferred point, what the rules prefer where one of its decisions is taken otherwise, and random points ranked by the
///                 model, or by the prior while that knows nothing; then children of the best points (mutation of a choice, crossover by
///                 name), ranked by the model, and a share of random points
///   random        random points
///   prior         a large random sample, in the prior's order
class Search {
 public:
  Search(const Space& space, Mode mode, std::uint64_t seed, std::unique_ptr<Scorer> scorer = nullptr);

  /// Choices that were good elsewhere, at other sizes say: they come right after the preferred point. Before the first next().
  void begin_with(std::vector<Genome> genomes) { suggested_ = std::move(genomes); }
  /// At most `count` points that were not proposed before; fewer, or none, when the space has no more.
  std::vector<Point> next(std::size_t count);
  /// What became of a point, of this run or of an earlier one: its time, or nothing for a failure.
  void learn(const Point& point, std::optional<double> us);
  /// Points of earlier runs whose features are not known any more are only not to be proposed again.
  void skip(const std::string& program_hash) { seen_.insert(program_hash); }

  /// Points refused before measuring.
  const Causes& refused() const { return refused_; }
  std::int64_t attempts() const { return attempts_; }

 private:
  struct Known {
    Point point;
    double us;
  };
  std::vector<Point> make_all(const std::vector<Genome>& wanted, bool fill);
  std::vector<Point> deviations(const Genome& genome);
  std::vector<Point> sample(std::size_t count);
  std::vector<Point> children(std::size_t count, const std::vector<const Genome*>& parents);
  std::vector<Point> evolve(std::size_t count);
  void rank(std::vector<Point>& points) const;
  void teach();
  void take(std::vector<Point>& from, std::size_t count, std::vector<Point>& to);
  void take_apart(std::vector<Point>& from, std::size_t count, std::vector<Point>& to);
  void take_ranked(std::vector<Point> pool, std::vector<Point> fresh, std::size_t count, std::vector<Point>& to);

  const Space& space_;
  Mode mode_;
  Rng rng_;
  std::unique_ptr<Scorer> scorer_;
  bool began_ = false, untaught_ = false;
  std::vector<Known> known_;  // by time
  std::set<std::string> seen_;
  std::vector<Genome> suggested_;
  std::vector<Point> queue_;  // evolutionary: what is left of the deviations; prior: of the sample
  Causes refused_;
  std::int64_t attempts_ = 0;
};

// Exposed for tests.
Genome mutate(const Genome& genome, Rng& rng);
Genome cross(const Genome& a, const Genome& b, Rng& rng);
/// Decisions that two candidates took differently, or that only one of them came to.
std::size_t apart(const Genome& a, const Genome& b);

}  // namespace tecc::autotune
