#pragma once
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "codegen/build.h"
#include "codegen/llvm/emit.h"
#include "codegen/llvm/jit.h"
#include "compiler/pass/passes.h"
#include "ir/interpret/loop.h"
#include "ir/interpret/te.h"
#include "schedule/step.h"
#include "tests/support/guarded.h"
#include "tests/support/reread.h"
#include "tests/support/te.h"

/// Runs an expression with a schedule on this CPU: naive -> replay -> lower -> JIT, and compares with the interpreters.
namespace tecc::test {

struct Operator {
  std::string text;       // one kernel
  std::string dims;       // "M=4,N=8", ranges are runtime dims
  std::string types = {}; // "T=bf16"
  std::string schedule = {};
  std::map<std::string, std::int64_t> runtime = {};  // values of runtime dims
};

/// Everything about one operator, up to the lowered program.
struct Prepared {
  te::Lifted lifted;
  loop::Program naive, scheduled, lowered;
  std::map<std::string, std::int64_t> runtime;

  /// A formula of dims, as whoever launches the program would evaluate it.
  std::int64_t value(const Expr& formula) const { return require(evaluate(codegen::formula_of(lowered, formula), Env(runtime.begin(), runtime.end()))); }
};
inline Prepared prepare(const Operator& op) {
  Prepared out{te::lift(bind(op.text, op.dims, op.types)), {}, {}, {}, op.runtime};
  out.naive = loop::naive(out.lifted);
  const schedule::Trace trace = require(schedule::parse({intern("test.schedule"), op.schedule}, out.naive));
  out.scheduled = require(schedule::replay(out.naive, trace)).program;
  // A schedule that went through its text makes the same program.
  const schedule::Trace again = require(schedule::parse({intern("test.schedule"), schedule::print(trace, out.naive)}, out.naive));
  CHECK(print(require(schedule::replay(out.naive, again)).program) == print(out.scheduled));
  out.lowered = require(compiler::lower(out.scheduled, compiler::Limits{.gpu = false}));
  return out;
}

/// Numbers that every type can tell apart; integers and floats near 1, both signs, some zeros.
inline std::vector<Array> random_inputs(const Prepared& p, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<Array> out;
  for (TensorId t : p.naive.inputs) {
    const loop::Buffer& b = p.naive[t];
    std::vector<std::int64_t> shape;
    for (const Expr& e : b.shape) shape.push_back(p.value(e));
    Array a(b.type, b.by_value ? std::vector<std::int64_t>{} : shape);
    for (std::int64_t n = 0; n < a.size(); ++n) {
      if (is_float(b.type)) a.set(n, std::normal_distribution<double>()(random));
      else if (b.type == DType::boolean) a.set_integer(n, random() % 2);
      else a.set_integer(n, static_cast<std::int64_t>(random() % 17) - (b.type == DType::u8 ? 0 : 8));
    }
    out.push_back(std::move(a));
  }
  return out;
}

inline std::vector<Array> run_cpu(const Prepared& p, const std::vector<Array>& inputs, const codegen::cpu::Target& target = {}) {
  const codegen::cpu::Module module = require(codegen::cpu::emit(p.lowered, target));
  const codegen::cpu::Jit jit = require(codegen::cpu::Jit::make(module));
  std::vector<Guarded> memory;
  for (const Array& a : inputs) {
    const bool scalar = a.shape.empty() && is_narrow_float(a.type);
    Guarded& m = memory.emplace_back(static_cast<std::int64_t>(scalar ? 4 : a.data.size()));
    const auto value = static_cast<float>(a.shape.empty() ? a.get(0) : 0);
    if (scalar && p.naive[p.naive.inputs[memory.size() - 1]].by_value) std::memcpy(m.data(), &value, 4);
    else std::memcpy(m.data(), a.data.data(), a.data.size());
  }
  std::vector<Array> outputs;
  for (TensorId t : p.lowered.outputs) {
    std::vector<std::int64_t> shape;
    for (const Expr& e : p.lowered[t].shape) shape.push_back(p.value(e));
    outputs.push_back(Array(p.lowered[t].type, shape));
    Guarded& m = memory.emplace_back(static_cast<std::int64_t>(outputs.back().data.size()));
    std::memset(m.data(), 0xff, outputs.back().data.size());  // NaN, or -1
  }
  Guarded& workspace = memory.emplace_back(p.value(module.workspace_bytes));
  std::memset(workspace.data(), 0xff, static_cast<std::size_t>(p.value(module.workspace_bytes)));
  std::vector<void*> pointers;
  for (Guarded& m : memory) pointers.push_back(m.data());
  std::vector<std::int64_t> dims;
  for (const auto& [v, range] : p.lowered.dims) dims.push_back(p.runtime.at(p.lowered.vars[v].name));
  for (const codegen::cpu::Kernel& k : module.kernels) {
    const auto function = jit.function(k.name);
    REQUIRE(function);
    const std::int64_t tasks = p.value(k.tasks);
    for (std::int64_t n = tasks; n-- > 0;) CHECK(function(pointers.data(), dims.data(), n) == 0);  // any order is allowed
  }
  for (std::size_t n = 0; n < memory.size(); ++n) {
    INFO("buffer " << n);
    CHECK(memory[n].intact());
  }
  for (std::size_t n = 0; n < outputs.size(); ++n)
    std::memcpy(outputs[n].data.data(), memory[inputs.size() + n].data(), outputs[n].data.size());
  return outputs;
}

/// What a type resolves, with room for sums in another order.
inline double tolerance(DType t) {
  switch (t) {
    case DType::f64: return 1e-12;
    case DType::f32: return 2e-5;
    case DType::f16: return 2e-3;
    case DType::bf16: return 1.6e-2;
    case DType::e4m3: return 0.13;
    case DType::e5m2: return 0.26;
    default: return 0;
  }
}

/// Equal within `eps`; NaN equals NaN.
inline void check_close(const Array& got, const Array& want, double eps) {
  REQUIRE(got.shape == want.shape);
  int shown = 0;
  for (std::int64_t n = 0; n < got.size() && shown < 4; ++n) {
    const double a = got.get(n), b = want.get(n);
    const bool same = a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= eps * (std::abs(b) + 1);
    if (!same) {
      ++shown;
      FAIL_CHECK("element " << n << " of " << got.size() << ": " << a << ", expected " << b);
    }
  }
}

/// The whole way on the CPU against the reference interpreter.
inline void check_cpu(const Operator& op, double scale = 1) {
  INFO(op.text << "\ndims " << op.dims << ", types " << op.types << "\n" << op.schedule);
  const Prepared p = prepare(op);
  INFO(print(p.lowered));
  const std::vector<Array> inputs = random_inputs(p);
  const std::vector<Array> want = require(interpret(p.lifted, p.runtime, inputs));
  const bool in_f32 = op.text.find("f32(") != std::string::npos;  // f64 results that went through f32
  const auto compare = [&](const std::vector<Array>& got, const char* who) {
    INFO(who);
    REQUIRE(got.size() == want.size());
    for (std::size_t n = 0; n < got.size(); ++n)
      check_close(got[n], want[n], scale * std::max(tolerance(got[n].type), in_f32 && is_float(got[n].type) ? tolerance(DType::f32) : 0));
  };
  compare(run_cpu(p, inputs), "LLVM");
  for (const loop::Program& each : {p.naive, p.scheduled, p.lowered}) {
    INFO(print(each));
    compare(require(interpret(reread(each), p.runtime, inputs)).outputs, "loop interpreter");
  }
}

}  // namespace tecc::test
