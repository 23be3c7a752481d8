#include "ir/te/affine.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/expr.h"

namespace tecc::te {
namespace {

constexpr std::size_t most_facts = 2000;  // more than any real kernel needs; bounds the time of a hopeless proof

/// Divides by the gcd of the coefficients and rounds the constant down: the same integer points, a tighter fact.
void tighten(Affine& f) {
  std::int64_t g = 0;
  for (const auto& [v, c] : f.terms) g = std::gcd(g, c);
  if (g <= 1) return;
  for (auto& term : f.terms) term.second /= g;
  f.constant = floor_div(f.constant, g);
}

/// Facts by their terms, the strongest constant of each; returns true when a constant fact is false.
class Facts {
 public:
  bool add(Affine f) {
    tighten(f);
    if (f.is_constant()) return f.constant < 0;
    const auto [it, fresh] = by_terms_.emplace(std::move(f.terms), f.constant);
    if (!fresh) it->second = std::min(it->second, f.constant);
    return false;
  }
  std::size_t size() const { return by_terms_.size(); }
  /// The variable whose elimination makes the fewest facts.
  std::optional<std::uint32_t> cheapest() const {
    std::map<std::uint32_t, std::pair<std::size_t, std::size_t>> signs;
    for (const auto& [terms, constant] : by_terms_)
      for (const auto& [v, c] : terms) ++(c > 0 ? signs[v].first : signs[v].second);
    std::optional<std::uint32_t> best;
    std::size_t fewest = SIZE_MAX;
    for (const auto& [v, n] : signs)
      if (n.first * n.second < fewest) {
        fewest = n.first * n.second;
        best = v;
      }
    return best;
  }
  /// Replaces the facts on v by what they imply on the others; true: a contradiction came out.
  bool eliminate(std::uint32_t v) {
    std::vector<Affine> lower, upper;
    for (auto it = by_terms_.begin(); it != by_terms_.end();) {
      Affine f{it->first, it->second};
      const std::int64_t c = f.coefficient(v);
      if (c == 0) {
        ++it;
        continue;
      }
      (c > 0 ? lower : upper).push_back(std::move(f));
      it = by_terms_.erase(it);
    }
    for (const Affine& l : lower)
      for (const Affine& u : upper) {
        const std::int64_t a = l.coefficient(v), b = u.coefficient(v);
        if (b == INT64_MIN) continue;
        const std::int64_t g = std::gcd(a, b);
        if (auto f = combine(-b / g, l, a / g, u); f && add(*std::move(f)))
          return true;  // overflow: a fact is lost, not gained
      }
    return false;
  }

 private:
  std::map<std::vector<std::pair<std::uint32_t, std::int64_t>>, std::int64_t> by_terms_;
};

}  // namespace

std::int64_t Affine::coefficient(std::uint32_t variable) const {
  for (const auto& [v, c] : terms)
    if (v == variable) return c;
  return 0;
}

Affine affine_variable(std::uint32_t variable) { return {{{variable, 1}}, 0}; }

std::optional<Affine> combine(std::int64_t a, const Affine& x, std::int64_t b, const Affine& y) {
  Affine out;
  const auto mix = [&](std::int64_t p, std::int64_t q, std::int64_t& r) {
    std::int64_t ap, bq;
    return !__builtin_mul_overflow(a, p, &ap) && !__builtin_mul_overflow(b, q, &bq) &&
           !__builtin_add_overflow(ap, bq, &r);
  };
  if (!mix(x.constant, y.constant, out.constant)) return std::nullopt;
  auto i = x.terms.begin();
  auto j = y.terms.begin();
  while (i != x.terms.end() || j != y.terms.end()) {
    const bool left = j == y.terms.end() || (i != x.terms.end() && i->first <= j->first);
    const bool right = i == x.terms.end() || (j != y.terms.end() && j->first <= i->first);
    const std::uint32_t v = left ? i->first : j->first;
    std::int64_t c;
    if (!mix(left ? i->second : 0, right ? j->second : 0, c)) return std::nullopt;
    if (c) out.terms.emplace_back(v, c);
    i += left;
    j += right;
  }
  return out;
}

bool contradictory(std::vector<Affine> list) {
  Facts facts;
  for (Affine& f : list)
    if (facts.add(std::move(f))) return true;
  while (const auto v = facts.cheapest()) {
    if (facts.eliminate(*v)) return true;
    if (facts.size() > most_facts) return false;
  }
  return false;
}

}  // namespace tecc::te
