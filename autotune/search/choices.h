#pragma once
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace tecc::autotune {

using Rng = std::mt19937_64;

/// One open decision of a space, as it was taken.
struct Choice {
  std::string name;                   // unique within a candidate: "C.sum.i threads"
  std::vector<std::int64_t> options;  // what the rule offered, in the rule's order
  std::int64_t value;                 // one of them
  bool operator==(const Choice&) const = default;
};
/// What a candidate is made of: rules asked for choices in this order. Mutation and crossover work on these; rules turn them
/// into a schedule again, so that a candidate is legal or refused, never half-made.
using Genome = std::vector<Choice>;

/// Answers the questions of the rules: from a wanted genome where it has an answer that is still among the options, else at
/// random where a generator is given, else by the rule's preference (the prior).
class Chooser {
 public:
  Chooser() = default;
  /// `log`, where given, gets every choice as it is made: known also where rules refuse in the end.
  explicit Chooser(Genome wanted, Rng* rng = nullptr, Genome* log = nullptr) : wanted_(std::move(wanted)), rng_(rng), log_(log) {}

  /// `options` must not be empty; `preferred` is what an expert would take.
  std::int64_t choose(const std::string& name, std::vector<std::int64_t> options, std::int64_t preferred);
  const Genome& made() const { return made_; }

 private:
  Genome wanted_;
  Rng* rng_ = nullptr;
  Genome* log_ = nullptr;
  Genome made_;
};

}  // namespace tecc::autotune
