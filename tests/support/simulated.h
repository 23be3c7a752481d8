#pragma once
#include <fmt/format.h>

#include "ir/simulate/simulate.h"
#include "tests/support/lowered.h"

/// GPU programs on this CPU.
namespace tecc::test {

/// Every adversarial order and landing, and `seeds` random ones.
inline std::vector<SimulateOptions> simulations(std::uint32_t seeds) {
  using Order = SimulateOptions::Order;
  using Landing = SimulateOptions::Landing;
  std::vector<SimulateOptions> out;
  for (Order order : {Order::first, Order::last, Order::producers_late, Order::producers_early})
    for (Landing landing : {Landing::early, Landing::late, Landing::random}) {
      SimulateOptions o;
      o.order = order;
      o.landing = landing;
      out.push_back(o);
    }
  for (std::uint32_t seed = 0; seed < seeds; ++seed) {
    SimulateOptions o;
    o.seed = seed;
    o.landing = seed % 3 == 0 ? Landing::random : seed % 3 == 1 ? Landing::early : Landing::late;
    o.blocks = 1 + seed % 3;
    out.push_back(o);
  }
  return out;
}

/// What is wrong under one of the options: the refusal, or where the outputs differ; "" if nothing is.
inline std::string simulation_fault(const loop::Program& p, const std::map<std::string, std::int64_t>& dims, const std::vector<Array>& inputs, const std::vector<Array>& want,
                                    const std::vector<SimulateOptions>& all, double scale = 1) {
  for (const SimulateOptions& o : all) {
    const auto run = simulate(p, dims, inputs, o);
    const std::string how = fmt::format("seed {}, order {}, landing {}: ", o.seed, static_cast<int>(o.order), static_cast<int>(o.landing));
    if (!run) return how + render(run.error());
    for (std::size_t n = 0; n < want.size(); ++n)
      for (std::int64_t e = 0; e < want[n].size(); ++e) {
        const double a = run->outputs[n].get(e), b = want[n].get(e);
        const bool same = a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= scale * tolerance(want[n].type) * (std::abs(b) + 1);
        if (!same) return how + fmt::format("output {} is {} at {}, expected {}", n, a, e, b);
      }
  }
  return "";
}

/// The operator lowered for a GPU gives what the expression says, in every order.
inline void check_simulated(const Operator& op, std::uint32_t seeds = 4, const compiler::Limits& limits = {}) {
  INFO(op.text << "\ndims " << op.dims << ", types " << op.types << "\n" << op.schedule);
  const Prepared p = prepare(op);
  const loop::Program lowered = reread(require(try_lower(op, limits)));
  INFO(print(lowered));
  const std::vector<Array> inputs = random_inputs(p);
  const std::vector<Array> want = require(interpret(p.lifted, p.runtime, inputs));
  CHECK(simulation_fault(lowered, p.runtime, inputs, want, simulations(seeds)) == "");
}

}  // namespace tecc::test
