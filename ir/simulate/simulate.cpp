#include "ir/simulate/simulate.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/loop/verify.h"
#include "ir/simulate/machine.h"

namespace tecc {

using namespace loop;
using namespace simulator;

namespace {

std::int64_t value(const Expr& e, const std::vector<std::int64_t>& dims) {
  if (const auto* l = e.as<Literal>()) return l->integer;
  if (const auto* v = e.as<Var>()) return dims[v->id.n];
  if (const auto* b = e.as<Binary>()) return interpreter::binary(b->op, {.integer = value(b->a, dims)}, {.integer = value(b->b, dims)}, DType::i64, e->type).integer;
  if (const auto* s = e.as<Select>()) return value(s->condition, dims) ? value(s->then, dims) : value(s->otherwise, dims);
  return 0;
}

}  // namespace

Result<SimulateRun> simulate(const Program& p, const std::map<std::string, std::int64_t>& dims, std::span<const Array> inputs, const SimulateOptions& options) {
  TECC_CHECK(verify(p, Level::threaded));
  std::vector<std::int64_t> variables(p.vars.size());
  for (const auto& [v, range] : p.dims) {
    const auto found = dims.find(p.vars[v].name);
    if (found == dims.end()) return refuse(Code::dim_missing, "runtime dim", p.vars[v].name);
    variables[v.n] = found->second;
  }
  if (inputs.size() != p.inputs.size()) return refuse(Code::input_count, p.name, p.inputs.size(), inputs.size());

  std::vector<GlobalMemory> global(p.buffers.size());
  const auto shape_of = [&](TensorId t) {
    std::vector<std::int64_t> shape;
    for (const Expr& e : p[t].shape) shape.push_back(std::max<std::int64_t>(value(e, variables), 0));
    return shape;
  };
  for (std::uint32_t t = 0; t < p.buffers.size(); ++t) {
    if (!p.buffers.has({t}) || p[TensorId{t}].scope != Scope::global) continue;
    std::int64_t size = 1;
    for (std::int64_t e : shape_of({t}))
      if (__builtin_mul_overflow(size, e, &size) || size > (std::int64_t{1} << 31)) return refuse(Code::out_of_memory, "many", p[TensorId{t}].name);
    global[t].values.resize(static_cast<std::size_t>(size));
    global[t].written.resize(static_cast<std::size_t>(size));
  }
  for (std::size_t n = 0; n < inputs.size(); ++n) {
    GlobalMemory& m = global[p.inputs[n].n];
    if (static_cast<std::int64_t>(m.values.size()) != inputs[n].size()) return refuse(Code::input_count, p[p.inputs[n]].name, m.values.size(), inputs[n].size());
    for (std::size_t i = 0; i < m.values.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      if (is_float(inputs[n].type)) m.values[i].real = inputs[n].get(at);
      else m.values[i].integer = inputs[n].get_integer(at);
      m.written[i] = 1;
    }
  }

  SimulateRun run;
  std::mt19937_64 random(options.seed);
  std::uint32_t block = 1;  // counted over all kernels
  for (StmtId root : p.kernels) {
    TECC_TRY(const Kernel k, simulator::compile(p, root, variables, options.shared_bytes));
    for (GlobalMemory& m : global) m.shadow.reset();
    for (const Statement& st : k.statements)
      for (const Statement::Output& w : st.writes)
        if (GlobalMemory& m = global[k.places[w.place].buffer.n]; p[k.places[w.place].buffer].scope == Scope::global && !m.shadow) m.shadow.emplace(m.values.size());
    const std::int64_t blocks = k.persistent ? std::min(std::max<std::int64_t>(options.blocks, 1), std::max<std::int64_t>(k.tiles(), 1)) : k.tiles();
    std::vector<std::int64_t> order(static_cast<std::size_t>(blocks));
    for (std::size_t n = 0; n < order.size(); ++n) order[n] = static_cast<std::int64_t>(n);
    std::shuffle(order.begin(), order.end(), random);
    const std::uint32_t first = block;
    for (std::int64_t b : order) {
      Machine machine(k, options, global, random, b, blocks, block++, first, run);
      TECC_CHECK(machine.run());
    }
  }

  for (TensorId t : p.outputs) {
    const GlobalMemory& m = global[t.n];
    Array a(p[t].type, shape_of(t));
    for (std::size_t i = 0; i < m.values.size(); ++i) {
      const auto n = static_cast<std::int64_t>(i);
      if (!m.written[i]) {
        std::vector<std::int64_t> index(a.shape.size());
        for (std::size_t d = index.size(), rest = i; d-- > 0; rest /= static_cast<std::size_t>(a.shape[d])) index[d] = static_cast<std::int64_t>(rest) % a.shape[d];
        return refuse(Code::sim_output, p.name, fmt::format("[{}]", fmt::join(index, ", ")), p[t].name);
      }
      if (is_float(a.type)) a.set(n, m.values[i].real);
      else a.set_integer(n, m.values[i].integer);
    }
    run.outputs.push_back(std::move(a));
  }
  return run;
}

}  // namespace tecc
