#include "tests/fuzz/shrink.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ir/base/files.h"

namespace tecc::fuzz {

using namespace schedule;

namespace {

using Visit = std::function<void(Ref&)>;
template <class T> void visit(T& value, const Visit& f) {
  if constexpr (std::is_same_v<T, Ref>) f(value);
  else if constexpr (std::is_same_v<T, Stage>) f(value.block);
  else if constexpr (requires { T::fields(); }) std::apply([&](auto... field) { (visit(value.*field.member, f), ...); }, T::fields());
  else if constexpr (requires { value.begin()->axis; } || requires { value.begin()->blocks; } || requires { value.begin()->block; })
    for (auto& each : value) visit(each, f);
}
void for_each_ref(Step& step, const Visit& f) {
  std::visit([&](auto& s) { visit(s, f); }, step);
}

class Clock {
 public:
  explicit Clock(double seconds) : end_(std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool over() const { return std::chrono::steady_clock::now() > end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace

std::string kind_of(const std::string& fault) {
  std::string out;
  bool quoted = false;
  for (char c : fault.substr(0, fault.find('\n'))) {
    if (c == '\'') quoted = !quoted;
    if (!quoted && !(c >= '0' && c <= '9') && c != '-' && c != '.') out += c;
  }
  return out;
}

Trace without(const Trace& trace, std::size_t gone) {
  std::vector<std::optional<std::uint32_t>> place(trace.size());
  Trace out;
  for (std::size_t n = 0; n < trace.size(); ++n) {
    Traced t = trace[n];
    bool lives = n != gone;
    for_each_ref(t.step, [&](Ref& r) {
      if (r.base != Ref::Base::step) return;
      if (r.index < n && place[r.index]) r.index = *place[r.index];
      else lives = false;
    });
    if (!lives) continue;
    place[n] = static_cast<std::uint32_t>(out.size());
    out.push_back(std::move(t));
  }
  return out;
}

Trace shrink(const Trace& trace, const std::function<bool(const Trace&)>& fails, double seconds) {
  const Clock clock(seconds);
  Trace best = trace;
  for (std::size_t n = 0; n < trace.size() && !clock.over(); ++n) {
    const Trace part(trace.begin(), trace.begin() + static_cast<std::ptrdiff_t>(n));
    if (!fails(part)) continue;
    best = part;
    break;
  }
  for (bool again = true; again && !clock.over();) {
    again = false;
    for (std::size_t n = best.size(); n-- > 0 && !clock.over();) {
      const Trace part = without(best, n);
      if (!fails(part)) continue;
      best = part;
      again = true;
      n = std::min(n, best.size());
    }
  }
  return best;
}

Failure shrink(const Failure& f, const Witnesses& who, double seconds) {
  const Clock clock(seconds);
  Failure best = f;
  const auto fault = [&](const Expression& e, const Trace& t) -> std::string {
    const auto c = make_case(e, f.seed);
    return c ? judge(*c, t, who).fault : "";
  };
  const auto same = [kind = kind_of(f.fault)](const std::string& found) { return kind_of(found) == kind; };
  const auto c = make_case(f.expression, f.seed);
  if (!c) return best;
  best.trace = shrink(f.trace, [&](const Trace& t) { return same(judge(*c, t, who).fault); }, seconds);
  // Sizes, one dim at a time.
  std::vector<std::pair<std::string, std::int64_t>> dims;
  std::istringstream in(f.expression.dims);
  for (std::string one; std::getline(in, one, ',');) dims.emplace_back(one.substr(0, one.find('=')), std::stoll(one.substr(one.find('=') + 1)));
  const auto with = [&] {
    Expression e = best.expression;
    e.dims.clear();
    for (const auto& [name, value] : dims) e.dims += fmt::format("{}{}={}", e.dims.empty() ? "" : ",", name, value);
    return e;
  };
  for (auto& [name, value] : dims)
    for (std::int64_t smaller = 1; smaller < value && !clock.over(); smaller += std::max<std::int64_t>(1, smaller / 2)) {
      const std::int64_t was = std::exchange(value, smaller);
      if (same(fault(with(), best.trace))) break;
      value = was;
    }
  best.expression = with();
  best.fault = fault(best.expression, best.trace);
  if (!same(best.fault)) best = f;
  return best;
}

void write_failure(const std::string& folder, const std::string& name, const Failure& f) {
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/" + name;
  const auto c = make_case(f.expression, f.seed);
  std::ofstream(path + ".te") << fmt::format("# dims {}\n# types {}\n# kind {}\n# inputs {}\n{}", f.expression.dims, f.expression.types, f.expression.kind, f.seed, f.expression.text);
  std::string fault = f.fault;
  for (std::size_t at = 0; (at = fault.find('\n', at)) != std::string::npos; at += 3) fault.replace(at, 1, "\n# ");
  std::ofstream(path + ".schedule") << "# " << fault << "\n" << (c ? print(f.trace, c->workload.naive) : "");
}

Result<std::pair<Case, Trace>> read_failure(const std::string& path) {
  Expression e;
  TECC_TRY(e.text, read_file(path + ".te"));
  std::uint64_t seed = 1;
  std::istringstream lines(e.text);
  for (std::string line; std::getline(lines, line) && line.rfind("# ", 0) == 0;) {
    std::istringstream words(line.substr(2));
    std::string key, value;
    words >> key >> value;
    if (key == "dims") e.dims = value;
    else if (key == "types") e.types = value;
    else if (key == "kind") e.kind = value;
    else if (key == "inputs") seed = std::stoull(value);
  }
  TECC_TRY(Case c, make_case(e, seed));
  TECC_TRY(std::string text, read_file(path + ".schedule"));
  TECC_TRY(Trace trace, parse({intern("case.schedule"), text}, c.workload.naive));
  return std::pair(std::move(c), std::move(trace));
}

}  // namespace tecc::fuzz
