#include "autotune/measure/inputs.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "codegen/formula.h"
#include "ir/numeric.h"
#include "ir/te/prover.h"
#include "runtime/cpu/pool.h"

namespace tecc::autotune {
namespace {

std::uint64_t mixed(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

double uniform(std::uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }  // in (0, 1)

double normal(std::uint64_t key, std::uint64_t n) {  // Box and Muller, one of the pair
  const double u = uniform(mixed(key + 2 * n)), v = uniform(mixed(key + 2 * n + 1));
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

/// Input tensors read inside an index -> the smallest extent they must stay below.
void find_indices(const te::Kernel& k, const Expr& e, te::Prover& prover, std::map<TensorId, std::int64_t>& below) {
  walk(e, [&](const Expr& x) {
    const auto* r = x.as<Read>();
    if (!r || r->otherwise) return true;
    for (std::size_t d = 0; d < r->index.size(); ++d) {
      const auto extent = prover.range(k[r->tensor].shape[d]);
      walk(r->index[d], [&](const Expr& y) {
        const auto* inner = y.as<Read>();
        if (inner && extent) {
          const auto n = std::max<std::int64_t>(1, static_cast<std::int64_t>(extent->first));
          const auto [at, fresh] = below.emplace(inner->tensor, n);
          if (!fresh) at->second = std::min(at->second, n);
        }
        return true;
      });
    }
    return true;
  });
}

/// Rounding to a narrow float on the way counts as much as at the end.
double coarsest_unit(const te::Lifted& l) {
  double unit = 0;
  for (const te::LiftedStage& s : l.stages)
    walk(s.body, [&](const Expr& e) {
      const bool computed = e.as<Cast>() || e.as<Unary>() || e.as<Binary>();
      if (computed && (is_narrow_float(e->type) || e->type == DType::tf32)) unit = std::max(unit, std::ldexp(1.0, -info(e->type).mantissa_bits));
      return true;
    });
  return unit;
}

}  // namespace

TaskSpec task_of(const codegen::Workload& w, const std::map<std::string, std::int64_t>& dims, std::uint64_t seed) {
  const te::Kernel& k = w.lifted.kernel;
  TaskSpec out;
  out.dims = dims;
  out.seed = seed;
  std::map<VarId, te::DimRange> exact;
  for (const auto& [v, range] : w.lifted.runtime) {
    const std::int64_t value = dims.at(k[v].name);
    exact[v] = {value, value, 1};
  }
  te::Prover prover(exact);
  const auto shape = [&](const std::vector<Expr>& extents) {
    std::vector<std::int64_t> s;
    for (const Expr& e : extents) {
      const auto r = prover.range(e);
      s.push_back(r ? std::max<std::int64_t>(0, static_cast<std::int64_t>(r->last)) : 0);
    }
    return s;
  };
  std::map<TensorId, std::int64_t> below;
  for (const te::LiftedStage& s : w.lifted.stages) find_indices(k, s.body, prover, below);
  bool floats = false;
  for (TensorId t : k.inputs) {
    const te::Tensor& x = k[t];
    InputSpec spec{x.name, x.type.concrete(), x.by_value ? std::vector<std::int64_t>{} : shape(x.shape), x.by_value, 0};
    if (const auto b = below.find(t); b != below.end()) spec.below = b->second;
    floats |= is_float(spec.type);
    out.inputs.push_back(std::move(spec));
  }
  for (TensorId t : k.outputs) out.outputs.push_back({k[t].name, k[t].type.concrete(), shape(k[t].shape)});
  out.exact_integers = !floats;
  out.rtol = std::max(codegen::numerics_of(w).rtol, 4 * coarsest_unit(w.lifted));
  return out;
}

Message to_message(const TaskSpec& t) {
  Message m;
  m["inputs"] = m["outputs"] = Message::array();
  for (const InputSpec& i : t.inputs)
    m["inputs"].push_back({{"name", i.name}, {"type", name(i.type)}, {"shape", i.shape}, {"by_value", i.by_value}, {"below", i.below}});
  for (const OutputSpec& o : t.outputs) m["outputs"].push_back({{"name", o.name}, {"type", name(o.type)}, {"shape", o.shape}});
  m["dims"] = t.dims;
  m["rtol"] = t.rtol;
  m["exact_integers"] = t.exact_integers;
  m["seed"] = t.seed;
  return m;
}

TaskSpec task_from(const Message& m) {
  const auto type = [](const Message& x) { return parse_type(x.at("type").get<std::string>()).value(); };
  const auto shape = [](const Message& x) { return x.at("shape").get<std::vector<std::int64_t>>(); };
  TaskSpec t;
  for (const Message& i : m.at("inputs")) t.inputs.push_back({i.at("name"), type(i), shape(i), i.at("by_value"), i.at("below")});
  for (const Message& o : m.at("outputs")) t.outputs.push_back({o.at("name"), type(o), shape(o)});
  t.dims = m.at("dims").get<std::map<std::string, std::int64_t>>();
  t.rtol = m.at("rtol");
  t.exact_integers = m.at("exact_integers");
  t.seed = m.at("seed");
  return t;
}

Result<HostTensor> random_input(const InputSpec& spec, std::uint64_t seed) {
  TECC_TRY(HostTensor x, make_tensor(spec.type, spec.shape, spec.name));
  std::uint64_t key = mixed(seed);
  for (const char c : spec.name) key = mixed(key ^ static_cast<unsigned char>(c));
  constexpr std::int64_t chunk = 1 << 16;
  const std::int64_t count = x.count();
  run_tasks((count + chunk - 1) / chunk, [&](std::int64_t task) {
    for (std::int64_t n = task * chunk; n < std::min(count, (task + 1) * chunk); ++n) {
      const auto at = static_cast<std::uint64_t>(n);
      if (is_float(spec.type)) x.set(n, normal(key, at));
      else if (spec.type == DType::boolean) x.set_integer(n, static_cast<std::int64_t>(mixed(key + at) & 1));
      else if (spec.below) x.set_integer(n, static_cast<std::int64_t>(mixed(key + at) % static_cast<std::uint64_t>(spec.below)));
      else x.set_integer(n, static_cast<std::int64_t>(mixed(key + at) % 16) - (spec.type == DType::u8 ? 0 : 8));
    }
  });
  return x;
}

double scalar_input(const InputSpec& spec) {
  if (is_float(spec.type)) return 0.75;  // positive and exact in every type: an epsilon, a scale
  if (spec.type == DType::boolean) return 1;
  return spec.below ? static_cast<double>(std::min<std::int64_t>(spec.below - 1, 1)) : 2;
}

}  // namespace tecc::autotune
