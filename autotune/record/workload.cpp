#include "autotune/record/workload.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "autotune/feature/feature.h"

namespace tecc::autotune {

std::string dims_text(const codegen::Workload& w) {
  std::string out;
  for (const auto& [name, r] : w.bound.bindings.dims) {
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", name, r.min);
    if (!r.fixed()) out += fmt::format("..{}", r.max);
    if (r.multiple_of > 1 && !r.fixed()) out += fmt::format(":{}", r.multiple_of);
  }
  bool first = true;
  for (const auto& [name, type] : w.bound.bindings.types) {
    out += fmt::format("{}{}={}", first ? (out.empty() ? "" : " ") : ",", name, tecc::name(type));
    first = false;
  }
  return out;
}

Record record_of(const codegen::Workload& w, const codegen::Target& t, const std::string& device, const Point& p, const Outcome& outcome) {
  Record r;
  r.workload = w.hash;
  r.kernel = w.kernel.name;
  r.dims = dims_text(w);
  r.target = fingerprint(t);
  r.device = device;
  r.schedule = schedule::print(p.trace, w.naive);
  r.trace_hash = fmt::format("{:016x}", schedule::hash(p.trace));
  r.program_hash = p.program_hash;
  r.genome = p.genome;
  r.outcome = outcome;
  r.tool = tool_version;
  r.features = features_version;
  r.expression = te::print(w.kernel);
  r.made = static_cast<std::int64_t>(std::time(nullptr));
  return r;
}

Result<codegen::Workload> workload_of(const Record& r) {
  const auto no = [&](const std::string& why) { return refuse(Code::record_unbound, r.kernel, r.dims, why); };
  if (r.expression.empty()) return no("it was made by a version that did not record the expression");
  // "dims types", either of which may be missing; a type's value begins with a letter.
  const std::size_t space = r.dims.find(' '), equals = r.dims.find('=');
  std::string dims = r.dims.substr(0, space), types = space == std::string::npos ? "" : r.dims.substr(space + 1);
  if (space == std::string::npos && equals + 1 < r.dims.size() && std::isalpha(static_cast<unsigned char>(r.dims[equals + 1]))) std::swap(dims, types);
  const auto make = [&]() -> Result<codegen::Workload> {
    TECC_TRY(const auto kernels, te::parse({intern("record"), r.expression}));
    te::Bindings b;
    TECC_TRY(b.dims, te::parse_dims(dims));
    TECC_TRY(b.types, te::parse_type_bindings(types));
    return codegen::make_workload(kernels.at(0), b);
  };
  auto w = make();
  if (!w) return no(message(w.error()));
  if (w->hash != r.workload) return no("its expression is not that of its workload");
  return w;
}

Result<codegen::Target> target_of(const std::string& fingerprint) {
  const std::size_t first = fingerprint.find('/'), last = fingerprint.rfind('/');
  const std::string kind = fingerprint.substr(0, first), arch = first == last ? "" : fingerprint.substr(first + 1, last - first - 1);
  TECC_TRY(codegen::Target t, codegen::find_target(kind == "cpu" ? "cpu" : arch));
  if (kind == "cpu") t.arch = arch;
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(fingerprint.data() + last + 1, fingerprint.data() + fingerprint.size(), count);
  if (error == std::errc() && count > 0) t.sm_count = count;
  return t;
}

Result<Point> point_of(const Record& r, const codegen::Workload& w, const codegen::Target& t) {
  TECC_TRY(schedule::Trace trace, schedule::parse({intern("record"), r.schedule}, w.naive));
  TECC_TRY(schedule::State state, schedule::replay(w.naive, trace));
  return ScheduleSpace(w, t).point({std::move(trace), std::move(state), r.genome});
}

}  // namespace tecc::autotune
