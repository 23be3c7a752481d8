#include "autotune/measure/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "runtime/cpu/pool.h"

namespace tecc::autotune {
namespace {

constexpr std::int64_t chunk = 1 << 16;
constexpr double swaps = 1e-3;  // share of integers that a float may have decided otherwise

std::string place(std::int64_t n, const std::vector<std::int64_t>& shape) {
  std::string out;
  for (std::size_t d = shape.size(); d-- > 0;) {
    out = fmt::format("{}{}{}", n % shape[d], out.empty() ? "" : ", ", out);
    n /= shape[d];
  }
  return "[" + out + "]";
}

}  // namespace

Check compare(const std::string& name, const HostTensor& got, const Expected& expected, double rtol, bool exact) {
  const std::int64_t count = got.count(), tasks = (count + chunk - 1) / chunk;
  std::mutex mutex;
  if (!is_float(got.dtype)) {
    std::int64_t wrong = 0, first = count;
    run_tasks(tasks, [&](std::int64_t t) {
      std::int64_t here = 0, at = count;
      for (std::int64_t n = t * chunk; n < std::min(count, (t + 1) * chunk); ++n)
        if (got.integer(n) != expected.integer[static_cast<std::size_t>(n)]) ++here, at = std::min(at, n);
      const std::lock_guard lock(mutex);
      wrong += here, first = std::min(first, at);
    });
    if (static_cast<double>(wrong) <= (exact ? 0.0 : swaps * static_cast<double>(count))) return Ok{};
    return refuse(Code::wrong_result, name, fmt::format("{} of {} elements", wrong, count), exact ? "0" : fmt::format("{:.0f}", swaps * static_cast<double>(count)),
                  fmt::format("; {} is {}, not {}", place(first, got.shape), got.integer(first), expected.integer[static_cast<std::size_t>(first)]));
  }
  double difference = 0, norm = 0, largest = 0;
  std::int64_t strange = count, worst = 0, finite = 0;
  const auto number = [](double x) { return std::isfinite(x); };
  run_tasks(tasks, [&](std::int64_t t) {
    double d2 = 0, r2 = 0;
    std::int64_t odd = count, seen = 0;
    for (std::int64_t n = t * chunk; n < std::min(count, (t + 1) * chunk); ++n) {
      const double a = got.value(n), b = expected.real[static_cast<std::size_t>(n)];
      if (!number(a) || !number(b)) {
        if (!(a == b || (a != a && b != b))) odd = std::min(odd, n);
        continue;
      }
      d2 += (a - b) * (a - b), r2 += b * b, ++seen;
    }
    const std::lock_guard lock(mutex);
    difference += d2, norm += r2, strange = std::min(strange, odd), finite += seen;
  });
  const auto values = [&](std::int64_t n) {
    return fmt::format("; {} is {}, not {}", place(n, got.shape), got.value(n), expected.real[static_cast<std::size_t>(n)]);
  };
  if (strange < count) return refuse(Code::wrong_result, name, "a number that is not finite", "0", values(strange));
  const double rms = finite ? std::sqrt(norm / static_cast<double>(finite)) : 0;
  run_tasks(tasks, [&](std::int64_t t) {
    double most = 0;
    std::int64_t at = 0;
    for (std::int64_t n = t * chunk; n < std::min(count, (t + 1) * chunk); ++n) {
      const double a = got.value(n), b = expected.real[static_cast<std::size_t>(n)];
      if (!number(a) || !number(b) || a == b) continue;
      const double off = std::abs(a - b) / (std::abs(b) + rms);
      if (off > most) most = off, at = n;
    }
    const std::lock_guard lock(mutex);
    if (most > largest) largest = most, worst = at;
  });
  const double scaled = norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
  const double off = std::max(scaled, largest);
  if (off <= rtol) return Ok{};
  return refuse(Code::wrong_result, name, fmt::format("{:.3g}", off), fmt::format("{:.3g}", rtol), values(worst));
}

}  // namespace tecc::autotune
