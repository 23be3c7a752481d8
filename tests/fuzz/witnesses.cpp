#include "tests/fuzz/witnesses.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "codegen/llvm/emit.h"
#include "codegen/llvm/jit.h"
#include "ir/interpret/loop.h"
#include "ir/interpret/te.h"
#include "ir/simulate/simulate.h"
#include "tests/support/guarded.h"
#include "tests/support/text_fault.h"

namespace tecc::fuzz {
namespace {

double tolerance(DType t) {
  switch (t) {
    case DType::f64: return 1e-9;
    case DType::f32: return 2e-4;  // sums of cancelling terms, in another order
    case DType::f16: return 4e-3;
    case DType::bf16: return 3.2e-2;
    case DType::e4m3: return 0.13;
    case DType::e5m2: return 0.26;
    default: return 0;
  }
}

struct Difference {
  std::string text;     // "" if there is none
  double relative = 0;  // of the worst element
};
Difference compare(const std::vector<Array>& got, const std::vector<Array>& want) {
  Difference out;
  for (std::size_t n = 0; n < want.size(); ++n) {
    double scale = 1;  // what an element is made of may be as large as any other
    for (std::int64_t e = 0; e < want[n].size(); ++e)
      if (std::isfinite(want[n].get(e))) scale = std::max(scale, std::abs(want[n].get(e)));
    for (std::int64_t e = 0; e < want[n].size(); ++e) {
      const double a = got[n].get(e), b = want[n].get(e);
      if (a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= tolerance(want[n].type) * scale) continue;
      if (out.text.empty()) out.text = fmt::format("output {} is {} at {}, expected {}", n, a, e, b);
      const double far = std::isfinite(a) && std::isfinite(b) ? std::abs(a - b) / scale : 1;
      out.relative = std::max(out.relative, far);
    }
  }
  return out;
}

std::int64_t value(const loop::Program& p, const Expr& e) { return evaluate(codegen::formula_of(p, e), Env{}).or_throw(); }

/// LLVM's code, every task once, the last one first.
std::string run_llvm(const loop::Program& lowered, const Case& c, codegen::cpu::Effort effort, std::vector<Array>& outputs) {
  const auto module = codegen::cpu::emit(lowered, {});
  if (!module) return render(module.error());
  const auto jit = codegen::cpu::Jit::make(*module, effort);
  if (!jit) return render(jit.error());
  std::vector<test::Guarded> memory;
  for (const Array& a : c.inputs) std::memcpy(memory.emplace_back(static_cast<std::int64_t>(a.data.size())).data(), a.data.data(), a.data.size());
  for (const Array& a : c.want) std::memset(memory.emplace_back(static_cast<std::int64_t>(a.data.size())).data(), 0xff, a.data.size());  // NaN, or -1
  const std::int64_t workspace = value(lowered, module->workspace_bytes);
  std::memset(memory.emplace_back(workspace).data(), 0xff, static_cast<std::size_t>(workspace));
  std::vector<void*> pointers;
  for (test::Guarded& m : memory) pointers.push_back(m.data());
  for (const codegen::cpu::Kernel& k : module->kernels) {
    const auto function = jit->function(k.name);
    if (!function) return "no function " + k.name;
    for (std::int64_t n = value(lowered, k.tasks); n-- > 0;)
      if (function(pointers.data(), nullptr, n) != 0) return "a task failed";
  }
  for (std::size_t n = 0; n < memory.size(); ++n)
    if (!memory[n].intact()) return fmt::format("writes outside of buffer {}", n);
  for (std::size_t n = 0; n < c.want.size(); ++n) {
    outputs.push_back(c.want[n]);
    std::memcpy(outputs.back().data.data(), memory[c.inputs.size() + n].data(), outputs.back().data.size());
  }
  return "";
}

/// Wrong by so little that it may be the order of sums; in f64 it must vanish.
constexpr double little = 0.02;

struct Judge {
  const Case& c;
  Outcome out;
  double far = 0;

  /// True if there is a fault.
  bool fails(const std::string& who, const Difference& d) {
    if (d.text.empty()) return false;
    out.fault = who + ": " + d.text;
    far = d.relative;
    return true;
  }
  bool fails(const std::string& who, const std::string& fault) {
    if (fault.empty()) return false;
    out.fault = who + ": " + fault;
    far = 1;
    return true;
  }
  bool interpreter(const loop::Program& p, const std::string& what, std::initializer_list<AtOnce> orders) {
    if (fails(what, test::text_fault(p))) return true;
    const loop::Program read_back = *loop::parse({intern("p.ir"), print(p)});
    for (const AtOnce order : orders) {
      const std::string how = what + (order == AtOnce::forwards ? "" : ", backwards");
      const auto run = interpret(read_back, {}, c.inputs, order);
      if (!run ? fails(how, render(run.error())) : fails(how, compare(run->outputs, c.want))) return true;
    }
    return false;
  }
  bool text(const schedule::Trace& trace) {
    const std::string first = print(trace, c.workload.naive);
    const auto again = schedule::parse({intern("s"), first}, c.workload.naive);
    if (!again) return fails("the schedule's text is refused", render(again.error()));
    if (print(*again, c.workload.naive) != first || hash(*again) != hash(trace)) return fails("the schedule's text", std::string("reads back differently"));
    return false;
  }
  bool llvm(const loop::Program& scheduled, const schedule::Trace& trace, bool interpreted) {
    const auto lowered = compiler::lower(scheduled, compiler::Limits{.gpu = false});
    if (!lowered) return number(lowered.error().code)[0] == 'B' && fails("lowered for a CPU", render(lowered.error()));
    if (interpreted && interpreter(*lowered, "lowered for a CPU", {AtOnce::forwards})) return true;
    // The optimiser takes longer than all else: all of its effort goes to every eighth.
    const auto effort = schedule::hash(trace) % 8 == 0 ? codegen::cpu::Effort::full : codegen::cpu::Effort::quick;
    std::vector<Array> outputs;
    if (fails("LLVM", run_llvm(*lowered, c, effort, outputs)) || fails("LLVM", compare(outputs, c.want))) return true;
    out.llvm = true;
    return false;
  }
  /// nullopt: what the simulator does not know.
  std::optional<bool> simulated(const loop::Program& lowered, const schedule::Trace& trace, bool large, const std::string& what) {
    if (fails("lowered for a GPU" + what, test::text_fault(lowered))) return true;
    const loop::Program read_back = *loop::parse({intern("p.ir"), print(lowered)});
    std::vector<SimulateOptions> all(3);
    all[1].order = SimulateOptions::Order::first, all[1].landing = SimulateOptions::Landing::late;
    all[2].order = SimulateOptions::Order::last, all[2].landing = SimulateOptions::Landing::early;
    const std::uint64_t either = schedule::hash(trace);
    if (large) all = {all[either % 3]};  // seconds each
    else all.erase(all.begin() + 1 + static_cast<std::ptrdiff_t>(either % 2));
    for (const SimulateOptions& o : all) {
      const auto run = simulate(read_back, {}, c.inputs, o);
      if (!run && number(run.error().code) == "E0412") return std::nullopt;
      const std::string how = fmt::format("simulated{}, order {}", what, static_cast<int>(o.order));
      if (!run ? fails(how, render(run.error())) : fails(how, compare(run->outputs, c.want))) return true;
    }
    return false;
  }
  bool simulator(const loop::Program& scheduled, const schedule::Trace& trace, bool large) {
    const auto lowered = compiler::lower(scheduled, compiler::Limits{});
    if (!lowered) {
      out.refused = number(lowered.error().code);
      return out.refused[0] == 'B' && fails("lowered for a GPU", render(lowered.error()));
    }
    const auto wrong = simulated(*lowered, trace, large, "");
    if (!wrong || *wrong) return wrong.value_or(false);
    // With a byte less than that, buffers share what they can.
    compiler::Limits tight;
    tight.shared_bytes = 0;
    for (loop::StmtId root : lowered->kernels) tight.shared_bytes = std::max(tight.shared_bytes, compiler::shared_bytes(*lowered, root) - 1);
    if (tight.shared_bytes <= 0) {
      // there is nothing to share
    } else if (const auto shared = compiler::lower(scheduled, tight)) {
      if (simulated(*shared, trace, large, ", buffers sharing bytes").value_or(false)) return true;
    } else if (number(shared.error().code)[0] == 'B') {
      return fails("lowered for a GPU, buffers sharing bytes", render(shared.error()));
    }
    out.simulator = true;
    return false;
  }
};

}  // namespace

Outcome judge(const Case& c, const schedule::Trace& trace, const Witnesses& who) {
  Judge j{c, {}};
  try {
    const auto state = replay(c.workload.naive, trace);
    if (!state) return j.out;  // a part of a trace that does not stand alone
    if (const Check good = loop::verify(state->program, loop::Level::scheduled); !good) {
      j.fails("the verifier", render(good.error()));
      return j.out;
    }
    const bool large = c.expression.kind != "stages";
    if (j.text(trace)) return j.out;
    const auto seen_by = [&](Witnesses one, bool fault) {
      if (fault) j.out.found = one;
      return fault;
    };
    const auto interpreted = [&] { return large ? j.interpreter(state->program, "scheduled", {AtOnce::backwards}) : j.interpreter(state->program, "scheduled", {AtOnce::forwards, AtOnce::backwards}); };
    if (!seen_by({true, false, false}, who.interpreter && interpreted()) && !seen_by({false, true, false}, who.llvm && j.llvm(state->program, trace, who.interpreter && !large)) &&
        !seen_by({false, false, true}, who.simulator && j.simulator(state->program, trace, large)))
      return j.out;
  } catch (const std::exception& e) {
    j.fails("exception", e.what());
  }
  if (j.far < little && c.expression.types == "T=f32") {
    Expression exact = c.expression;
    exact.types = "T=f64";
    if (const auto in_f64 = make_case(exact, 1); in_f64 && judge(*in_f64, trace, who).fault.empty()) {
      j.out.fault.clear();
      j.out.rounding = true;
    }
  }
  return j.out;
}

}  // namespace tecc::fuzz
