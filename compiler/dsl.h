#pragma once
#include <concepts>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "ir/te/kernel.h"

/// Tensor expressions written in C++. What is built is the text form of docs/language.md, which is then parsed: both ways
/// of writing have one meaning and one set of checks. The first mistake comes out of Kernel::outputs() with its C++ line.
///
///   using namespace tecc::dsl;
///   te::Kernel gemm() {
///     Kernel g("gemm");
///     const Type T = g.type("T");
///     const Value M = g.dim("M"), N = g.dim("N"), K = g.dim("K");
///     const Tensor A = g.input("A", T, {M, K}), B = g.input("B", T, {N, K});
///     const Axis i("i", M), j("j", N), k("k", K);
///     return std::move(g).outputs({g.stage("C", {i, j}, T(sum({k}, f32(A(i, k)) * f32(B(j, k)))))}).or_throw();
///   }
///
/// A file of such functions is an input of the tool: `tecc build gemm.cpp`, with TECC_EXPORT(gemm) after the function.
namespace tecc::dsl {

namespace te = tecc::te;

struct Term;  // the text of a value and how strongly it binds

/// A literal, dim, axis, read or formula. Operators make new values; == and && too, so there is no truth value in C++.
class Value {
 public:
  template <std::integral I>
  Value(I literal) : Value(integer_literal(static_cast<std::int64_t>(literal), std::same_as<I, bool>)) {}
  template <std::floating_point F> Value(F literal) : Value(decimal_literal(static_cast<double>(literal))) {}
  explicit Value(std::shared_ptr<const Term> term) : term_(std::move(term)) {}
  const Term& term() const { return *term_; }

 private:
  static Value integer_literal(std::int64_t value, bool truth);
  static Value decimal_literal(double value);
  std::shared_ptr<const Term> term_;
};

Value operator+(const Value& a, const Value& b);
Value operator-(const Value& a, const Value& b);
Value operator*(const Value& a, const Value& b);
Value operator/(const Value& a, const Value& b);  // floors on integers
Value operator%(const Value& a, const Value& b);
Value operator<(const Value& a, const Value& b);
Value operator<=(const Value& a, const Value& b);
Value operator>(const Value& a, const Value& b);
Value operator>=(const Value& a, const Value& b);
Value operator==(const Value& a, const Value& b);
Value operator!=(const Value& a, const Value& b);
Value operator&&(const Value& a, const Value& b);
Value operator||(const Value& a, const Value& b);
Value operator-(const Value& a);
Value operator!(const Value& a);

/// name: extent, from 0. One axis may serve several stages; the extent may use earlier axes of the same list.
struct Axis : Value {
  Axis(std::string_view name, Value extent, CallSite at = here());
  Value extent;
  CallSite at;
};
using Axes = std::initializer_list<Axis>;

struct Read : Value {
  using Value::Value;
  Value otherwise(Value outside) const;  // X(p - 1).otherwise(0) is `X[p - 1] else 0`
};

/// A dtype or a type parameter; called, a cast.
class Type {
 public:
  explicit Type(std::string_view name) : name_(name) {}
  Value operator()(Value x) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};
inline const Type boolean("bool"), i8("i8"), u8("u8"), i16("i16"), i32("i32"), i64("i64"), f16("f16"), bf16("bf16"),
    f32("f32"), f64("f64"), e4m3("e4m3"), e5m2("e5m2"), tf32("tf32");  // tf32: casts only

class Tensor {
 public:
  explicit Tensor(std::string_view name) : name_(name) {}
  template <class... I> Read operator()(I... index) const { return read({Value(index)...}); }
  const std::string& name() const { return name_; }

 private:
  Read read(std::initializer_list<Value> index) const;
  std::string name_;
};

Value sum(Axes axes, Value body), prod(Axes axes, Value body), min(Axes axes, Value body), max(Axes axes, Value body);
Value any(Axes axes, Value body), all(Axes axes, Value body), argmax(Axes axes, Value body),
    argmin(Axes axes, Value body);
Value mean(Axes axes, Value body);
Value select(Value condition, Value a, Value b), min(Value a, Value b), max(Value a, Value b), pow(Value a, Value b);
Value abs(Value x), exp(Value x), log(Value x), sqrt(Value x), rsqrt(Value x), tanh(Value x), erf(Value x),
    sin(Value x), cos(Value x);
Value sigmoid(Value x), floor(Value x), ceil(Value x), round(Value x), square(Value x);

class Kernel {
 public:
  explicit Kernel(std::string_view name, CallSite at = here());
  ~Kernel();
  Kernel(Kernel&&) noexcept;

  Type type(std::string_view name, CallSite at = here());  // a type parameter
  Value dim(std::string_view name,
            CallSite at = here());  // introduced by the first shape of which it is a whole extent
  Value integer(std::string_view name,
                CallSite at = here());  // fixed when the kernel is built; 0 and negatives allowed
  Value let(std::string_view name, Value value, CallSite at = here());
  Tensor input(std::string_view name, Type type, std::initializer_list<Value> shape, CallSite at = here());
  Value scalar(std::string_view name, Type type, CallSite at = here());
  Tensor stage(std::string_view name, Axes axes, Value body, CallSite at = here());
  /// The kernel, verified as far as its text goes (E01xx); te::bind() checks the rest.
  Result<te::Kernel> outputs(std::initializer_list<Tensor> stages, CallSite at = here()) &&;

 private:
  struct Text;
  std::unique_ptr<Text> text_;
};

/// Functions that TECC_EXPORT named, in order; what the tool calls in a compiled C++ file (compiler/dsl_export.cpp).
struct Exported {
  Exported(const char* function, Result<te::Kernel> (*make)());
};

}  // namespace tecc::dsl

/// Outside of functions: makes `function`, which returns a te::Kernel or a Result of one, a kernel of this file for the tool.
#define TECC_EXPORT(function) \
  [[maybe_unused]] static const ::tecc::dsl::Exported tecc_exported_##function(#function, [] { return ::tecc::Result<::tecc::te::Kernel>(function()); });
