#include "autotune/measure/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

/// Elements of a tensor of floats as doubles, part by part: of narrow types there are so few values that a table holds them.
class Decoder {
 public:
  explicit Decoder(const HostTensor& t) : from_(t) {
    if (bytes_of(t.dtype) > 2) return;
    const std::int64_t values = std::int64_t{1} << 8 * bytes_of(t.dtype);
    HostTensor all{t.dtype, {values}, std::vector<unsigned char>(static_cast<std::size_t>(values * bytes_of(t.dtype)))};
    for (std::int64_t n = 0; n < values; ++n) std::memcpy(all.bytes.data() + n * bytes_of(t.dtype), &n, static_cast<std::size_t>(bytes_of(t.dtype)));  // little endian
    table_.resize(static_cast<std::size_t>(values));
    for (std::int64_t n = 0; n < values; ++n) table_[static_cast<std::size_t>(n)] = all.value(n);
  }
  std::vector<double> part(std::int64_t first, std::int64_t last) const {
    std::vector<double> out(static_cast<std::size_t>(last - first));
    const unsigned char* bytes = from_.bytes.data() + first * bytes_of(from_.dtype);
    switch (bytes_of(from_.dtype)) {
      case 1: return read<std::uint8_t>(bytes, std::move(out), [&](std::uint8_t x) { return table_[x]; });
      case 2: return read<std::uint16_t>(bytes, std::move(out), [&](std::uint16_t x) { return table_[x]; });
      case 4: return read<float>(bytes, std::move(out), [](float x) { return static_cast<double>(x); });
      default: return read<double>(bytes, std::move(out), [](double x) { return x; });
    }
  }

 private:
  template <class T, class F>
  static std::vector<double> read(const unsigned char* bytes, std::vector<double> out, F value) {
    for (double& x : out) {
      T raw;
      std::memcpy(&raw, bytes, sizeof(T));
      x = value(raw);
      bytes += sizeof(T);
    }
    return out;
  }

  const HostTensor& from_;
  std::vector<double> table_;
};

double scaled(const Difference& d) { return d.norm > 0 ? std::sqrt(d.squares / d.norm) : std::sqrt(d.squares); }
double allowed_swaps(std::int64_t count, bool exact) { return exact ? 0 : swaps * static_cast<double>(count); }

}  // namespace

bool agrees(const Difference& d, DType type, std::int64_t count, double rtol, bool exact) {
  if (!is_float(type)) return d.wrong <= allowed_swaps(count, exact);
  return d.wrong == 0 && std::max(scaled(d), d.largest) <= rtol;  // false for NaN
}

Check compare(const std::string& name, const HostTensor& got, const Expected& expected, double rtol, bool exact) {
  const std::int64_t count = got.count(), tasks = (count + chunk - 1) / chunk;
  std::mutex mutex;
  Difference d;
  if (!is_float(got.dtype)) {
    std::int64_t first = count;
    run_tasks(tasks, [&](std::int64_t t) {
      std::int64_t here = 0, at = count;
      for (std::int64_t n = t * chunk; n < std::min(count, (t + 1) * chunk); ++n)
        if (got.integer(n) != expected.integer[static_cast<std::size_t>(n)]) ++here, at = std::min(at, n);
      const std::lock_guard lock(mutex);
      d.wrong += static_cast<double>(here), first = std::min(first, at);
    });
    if (agrees(d, got.dtype, count, rtol, exact)) return Ok{};
    return refuse(Code::wrong_result, name, fmt::format("{:.0f} of {} elements", d.wrong, count), fmt::format("{:.0f}", allowed_swaps(count, exact)),
                  fmt::format("; {} is {}, not {}", place(first, got.shape), got.integer(first), expected.integer[static_cast<std::size_t>(first)]));
  }
  std::int64_t strange = count, worst = 0;
  const auto number = [](double x) { return std::isfinite(x); };
  const Decoder decoder(got);
  run_tasks(tasks, [&](std::int64_t t) {
    double d2 = 0, r2 = 0;
    std::int64_t odd = count, wrong = 0, seen = 0;
    const std::int64_t first = t * chunk;
    const std::vector<double> part = decoder.part(first, std::min(count, first + chunk));
    for (std::int64_t n = first; n < first + static_cast<std::int64_t>(part.size()); ++n) {
      const double a = part[static_cast<std::size_t>(n - first)], b = expected.real[static_cast<std::size_t>(n)];
      if (!number(a) || !number(b)) {
        if (!(a == b || (a != a && b != b))) odd = std::min(odd, n), ++wrong;
        continue;
      }
      d2 += (a - b) * (a - b), r2 += b * b, ++seen;
    }
    const std::lock_guard lock(mutex);
    d.squares += d2, d.norm += r2, d.wrong += static_cast<double>(wrong), d.finite += static_cast<double>(seen), strange = std::min(strange, odd);
  });
  const auto values = [&](std::int64_t n) {
    return fmt::format("; {} is {}, not {}", place(n, got.shape), got.value(n), expected.real[static_cast<std::size_t>(n)]);
  };
  if (d.wrong > 0) return refuse(Code::wrong_result, name, "a number that is not finite", "0", values(strange));
  const double rms = d.finite > 0 ? std::sqrt(d.norm / d.finite) : 0;
  run_tasks(tasks, [&](std::int64_t t) {
    double most = 0;
    std::int64_t at = 0;
    const std::int64_t first = t * chunk;
    const std::vector<double> part = decoder.part(first, std::min(count, first + chunk));
    for (std::int64_t n = first; n < first + static_cast<std::int64_t>(part.size()); ++n) {
      const double a = part[static_cast<std::size_t>(n - first)], b = expected.real[static_cast<std::size_t>(n)];
      if (!number(a) || !number(b) || a == b) continue;
      const double off = std::abs(a - b) / (std::abs(b) + rms);
      if (off > most) most = off, at = n;
    }
    const std::lock_guard lock(mutex);
    if (most > d.largest) d.largest = most, worst = at;
  });
  if (agrees(d, got.dtype, count, rtol, exact)) return Ok{};
  return refuse(Code::wrong_result, name, fmt::format("{:.3g}", std::max(scaled(d), d.largest)), fmt::format("{:.3g}", rtol), values(worst));
}

}  // namespace tecc::autotune
