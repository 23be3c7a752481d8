#pragma once
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "ir/base/call_site.h"

namespace tecc {

/// Error numbers; the rows live in ir/base/errors/*.def, one file a group. E01 text, E02 binding, E03 schedule,
/// E04 lowering and target limits, E05 records and tuning, E06 the world (driver, files, memory), E09 our bugs.
enum class Code : std::uint16_t {
#define TECC_ERROR(number, name, text, explanation) name = number,
#include "ir/base/errors/all.def"
#undef TECC_ERROR
};

/// A refusal is plain data: a search meets millions. Text is rendered when someone reads it (ir/base/errors.h).
struct Refusal {
  using Arg = std::variant<std::monostate, std::int64_t, std::string>;
  Code code;
  std::array<Arg, 4> args;
  CallSite at;
};

/// refuse(Code::tail_left, "i", 10, 3): the usual way to make one.
template <class... A>
Refusal refuse(Code code, A&&... args) {
  static_assert(sizeof...(A) <= 4);
  [[maybe_unused]] const auto wrap = [](auto&& a) -> Refusal::Arg {
    if constexpr (std::is_integral_v<std::decay_t<decltype(a)>>) return static_cast<std::int64_t>(a);
    else return std::string(std::forward<decltype(a)>(a));
  };
  return {code, {wrap(std::forward<A>(args))...}, {}};
}
inline Refusal at(CallSite site, Refusal why) {
  if (!why.at.file) why.at = site;
  return why;
}

std::string render(const Refusal& why);

/// What or_throw() throws: the rendered refusal, with the refusal itself for whoever can say more about it.
struct Refused : std::runtime_error {
  explicit Refused(Refusal refusal) : std::runtime_error(render(refusal)), why(std::move(refusal)) {}
  Refusal why;
};

/// A value or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : u_(std::in_place_index<0>, std::move(value)) {}
  Result(Refusal why) : u_(std::in_place_index<1>, std::move(why)) {}
  explicit operator bool() const { return u_.index() == 0; }
  const T& operator*() const& { return std::get<0>(u_); }
  T& operator*() & { return std::get<0>(u_); }
  T operator*() && { return std::get<0>(std::move(u_)); }  // by value: for (auto x : *f()) must not dangle
  const T* operator->() const { return &std::get<0>(u_); }
  T* operator->() { return &std::get<0>(u_); }
  const Refusal& error() const { return std::get<1>(u_); }
  /// The one throw of the project: for examples, tests and main().
  T or_throw() && {
    if (!*this) throw Refused(error());
    return std::get<0>(std::move(u_));
  }

 private:
  std::variant<T, Refusal> u_;
};

struct Ok {};
using Check = Result<Ok>;

/// TECC_TRY(auto x, f()): binds x to the value of f() or returns its refusal from the enclosing function.
#define TECC_CONCAT_(a, b) a##b
#define TECC_CONCAT(a, b) TECC_CONCAT_(a, b)
#define TECC_TRY(declaration, expression)                         \
  auto TECC_CONCAT(tried_, __LINE__) = (expression);              \
  if (!TECC_CONCAT(tried_, __LINE__)) return TECC_CONCAT(tried_, __LINE__).error(); \
  declaration = *std::move(TECC_CONCAT(tried_, __LINE__))
/// TECC_CHECK(f()): for results whose value is Ok.
#define TECC_CHECK(expression) \
  if (auto checked_ = (expression); !checked_) return checked_.error()

}  // namespace tecc
