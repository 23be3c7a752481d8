#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace tecc::te {

/// sum(coefficient * variable) + constant, over integer variables known by number.
struct Affine {
  std::vector<std::pair<std::uint32_t, std::int64_t>> terms;  // by ascending variable, no zero coefficient
  std::int64_t constant = 0;

  std::int64_t coefficient(std::uint32_t variable) const;
  bool is_constant() const { return terms.empty(); }
  bool operator==(const Affine&) const = default;
};
Affine affine_variable(std::uint32_t variable);
/// a * x + b * y; none on overflow.
std::optional<Affine> combine(std::int64_t a, const Affine& x, std::int64_t b, const Affine& y);

/// True only if no integer point satisfies all of `facts` (each affine >= 0). Fourier-Motzkin elimination with integer
/// tightening (divide by the gcd, round the constant down); gives up with false when the system grows too large, so a
/// false says nothing. Pugh, "The Omega test", 1991, without its dark shadows.
bool contradictory(std::vector<Affine> facts);

}  // namespace tecc::te
