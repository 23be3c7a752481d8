#pragma once
#include <random>
#include <string>
#include <vector>

#include "codegen/build.h"
#include "ir/interpret/array.h"

/// Random tensor expressions, as text, and what every witness of them needs.
namespace tecc::fuzz {

using Random = std::mt19937_64;
inline std::int64_t below(Random& r, std::size_t n) { return static_cast<std::int64_t>(r() % std::max<std::size_t>(n, 1)); }
inline bool one_in(Random& r, std::size_t n) { return below(r, n) == 0; }
template <class T> const T& one_of(Random& r, const std::vector<T>& v) { return v[static_cast<std::size_t>(below(r, v.size()))]; }
/// Random bits that belong to one case alone, so that any one can be run again.
Random random_of(std::uint64_t seed, std::uint64_t index);

struct Expression {
  std::string text;   // a `.te` file of one kernel
  std::string dims;   // "M=4,N=8"; fixed
  std::string types;  // "T=bf16"
  std::string kind;   // "stages", "product", "cascade": for the counts
};

/// One to five stages, each elementwise (of one or two readers), a transposition, a reduction, a product, a prefix scan, a window with
/// else-reads, a triangle, a strided or flattened read, or an argmax, over sizes from 1 to 17.
Expression random_stages(Random& r);
/// A product of matrices in a type that matrix instructions take, with what follows it; sizes that partial tiles come of.
Expression random_product(Random& r);
/// Attention of small sizes, causal or not.
Expression random_cascade(Random& r);

/// An expression with random inputs and what they give.
struct Case {
  Expression expression;
  codegen::Workload workload;
  std::vector<Array> inputs, want;
};
/// A refusal means that the generator wrote what the language does not allow.
Result<Case> make_case(Expression e, std::uint64_t seed);

}  // namespace tecc::fuzz
