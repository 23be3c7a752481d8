#include "codegen/cuda/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "codegen/cuda/reference_text.h"
#include "ir/numeric.h"
#include "ir/te/prover.h"

namespace tecc::codegen::cuda {
namespace {

constexpr int threads = 256;

// clang-format off
struct FunctionText { UnOp op; const char* text; };
constexpr FunctionText functions[] = {
    {UnOp::neg, "-{0}"}, {UnOp::abs, "fabs({0})"}, {UnOp::exp, "exp({0})"}, {UnOp::log, "log({0})"}, {UnOp::sqrt, "sqrt({0})"},
    {UnOp::rsqrt, "1.0 / sqrt({0})"}, {UnOp::tanh, "tanh({0})"}, {UnOp::erf, "erf({0})"}, {UnOp::sin, "sin({0})"}, {UnOp::cos, "cos({0})"},
    {UnOp::sigmoid, "1.0 / (1.0 + exp(-{0}))"}, {UnOp::floor, "floor({0})"}, {UnOp::ceil, "ceil({0})"}, {UnOp::round, "rint({0})"},
    {UnOp::square, "{0} * {0}"},
};
// clang-format on

const char* word(bool real) { return real ? "double" : "long long"; }
std::string number_text(double v) {
  if (std::isnan(v)) return "nan(\"\")";
  if (std::isinf(v)) return v > 0 ? "(1.0 / 0.0)" : "(-1.0 / 0.0)";
  return fmt::format("({:a})", v);  // hexadecimal: exact
}
std::string number_text(std::int64_t v) {
  return v == INT64_MIN ? "(-9223372036854775807ll - 1)" : fmt::format("({}ll)", v);
}

std::string rounded_text(const std::string& v, DType t) {
  if (t == DType::f64) return v;
  if (t == DType::f32) return fmt::format("(double)(float){}", v);
  const TypeInfo& i = info(t);
  const int bias = (1 << (i.exponent_bits - 1)) - 1;
  const bool saturate = t == DType::e4m3 || t == DType::e5m2;
  const double largest = t == DType::e4m3 ? 448.0 : std::ldexp(2.0 - std::ldexp(1.0, -i.mantissa_bits), bias);
  return fmt::format("rounded({}, {}, {}, {}, {})", v, i.mantissa_bits, 1 - bias - i.mantissa_bits, number_text(largest), saturate);
}

std::string wrapped_text(const std::string& v, DType t) {
  if (t == DType::boolean) return fmt::format("(long long)({} != 0)", v);
  return t == DType::i64 ? v : fmt::format("(long long)({})({})", memory_text(t), v);
}

/// One stage: statements in single assignment, so that what is not chosen is not evaluated.
class StagePrinter {
 public:
  StagePrinter(const te::Lifted& l, const std::map<TensorId, std::vector<std::int64_t>>& shapes, const std::map<VarId, std::int64_t>& dims)
      : lifted_(l), shapes_(shapes) {
    for (const auto& [v, value] : dims) vars_[v] = number_text(value);
  }

  std::string run(const te::LiftedStage& s, const std::string& name) {
    const std::vector<std::int64_t>& shape = shapes_.at(s.tensor);
    const std::size_t outer = s.scan ? shape.size() - 1 : shape.size();
    std::int64_t rows = 1;
    for (std::size_t d = 0; d < outer; ++d) rows *= shape[d];
    line(fmt::format("const long long row = (long long)blockIdx.x * {} + threadIdx.x;", threads));
    line(fmt::format("if (row >= {}ll) return;", rows));
    std::int64_t divisor = rows;
    std::vector<std::string> at;
    for (std::size_t d = 0; d < outer; ++d) {
      divisor /= std::max<std::int64_t>(shape[d], 1);
      at.push_back(declare(s.axes[d].var, fmt::format("row / {}ll % {}ll", std::max<std::int64_t>(divisor, 1), std::max<std::int64_t>(shape[d], 1))));
    }
    for (std::size_t d = 0; d < outer; ++d) line(fmt::format("if (!({} < {})) return;", at[d], value(s.axes[d].extent)));  // ragged
    const bool real = is_float(s.body->type), position = s.reducer == Reducer::argmax || s.reducer == Reducer::argmin;
    const std::string out = tensor(s.tensor);
    const bool out_real = is_float(lifted_.kernel[s.tensor].type.concrete());
    const auto store = [&](const std::string& v) { line(fmt::format("{}[{}] = {};", out, offset(at, shape), v)); };
    if (!s.reducer) {
      store(value(s.body));
    } else {
      if (position) line(fmt::format("{} best = 0; long long sum = -1, count = 0;", word(real)));
      else line(fmt::format("{} sum = {};", word(real), start(*s.reducer, s.body->type)));
      std::vector<Axis> inner = s.scan ? std::vector<Axis>{s.axes.back()} : s.reduce_axes;
      for (const Axis& a : inner) {
        const std::string extent = value(a.extent), v = fmt::format("v{}", a.var.n);
        vars_[a.var] = v;
        if (s.scan) at.push_back(v);
        open(fmt::format("for (long long {0} = 0; {0} < {1}; ++{0}) {{", v, extent));
      }
      add(*s.reducer, s.body->type, value(s.body));
      if (s.scan) store(finished(*s.reducer, s.body->type));
      for (std::size_t n = 0; n < inner.size(); ++n) close();
      if (!s.scan) store(position ? "sum" : finished(*s.reducer, s.body->type));
    }
    std::string parameters;
    for (TensorId t : used_) {
      const te::Tensor& info = lifted_.kernel[t];
      const bool input = std::find(lifted_.kernel.inputs.begin(), lifted_.kernel.inputs.end(), t) != lifted_.kernel.inputs.end();
      const bool is_real = is_float(info.type.concrete());
      parameters += parameters.empty() ? "" : ", ";
      if (info.by_value) parameters += fmt::format("{} {}", word(is_real), tensor(t));
      else if (input) parameters += fmt::format("const {}* {}", memory_text(info.type.concrete()), tensor(t));
      else parameters += fmt::format("{}{}* {}", t == s.tensor ? "" : "const ", word(t == s.tensor ? out_real : is_real), tensor(t));
    }
    return fmt::format("\n// {}\nextern \"C\" __global__ void {}({}) {{\n{}}}\n", info_name(s.tensor), name, parameters, text_);
  }
  const std::vector<TensorId>& used() const { return used_; }

 private:
  const te::Lifted& lifted_;
  const std::map<TensorId, std::vector<std::int64_t>>& shapes_;
  std::map<VarId, std::string> vars_;
  std::vector<TensorId> used_;
  std::string text_;
  int depth_ = 1, temporaries_ = 0;

  std::string info_name(TensorId t) const { return lifted_.kernel[t].name; }
  void line(const std::string& s) { text_ += std::string(2 * static_cast<std::size_t>(depth_), ' ') + s + "\n"; }
  void open(const std::string& s) { line(s), ++depth_; }
  void close() { --depth_, line("}"); }
  std::string fresh() { return fmt::format("t{}", temporaries_++); }
  std::string declare(VarId v, const std::string& text) {
    vars_[v] = fmt::format("v{}", v.n);
    line(fmt::format("const long long {} = {};", vars_[v], text));
    return vars_[v];
  }
  std::string tensor(TensorId t) {
    if (std::find(used_.begin(), used_.end(), t) == used_.end()) used_.push_back(t);
    return fmt::format("x{}", t.n);
  }
  std::string let(bool real, const std::string& text) {
    std::string t = fresh();
    line(fmt::format("const {} {} = {};", word(real), t, text));
    return t;
  }
  static std::string offset(const std::vector<std::string>& at, const std::vector<std::int64_t>& shape) {
    std::string out = "0";
    for (std::size_t d = 0; d < at.size(); ++d) out = d ? fmt::format("({}) * {}ll + {}", out, shape[d], at[d]) : at[d];
    return out;
  }

  // ---- reductions
  static std::string start(Reducer op, DType type) {
    const bool real = is_float(type);
    const std::int64_t bits = 8 * bytes_of(type), highest = type == DType::u8 ? 255 : bits == 64 ? INT64_MAX : (std::int64_t{1} << (bits - 1)) - 1;
    const double infinity = std::numeric_limits<double>::infinity();
    switch (op) {
      case Reducer::prod: return real ? "1.0" : "1ll";
      case Reducer::max: return real ? number_text(round_to(-infinity, type)) : number_text(type == DType::u8 ? std::int64_t{0} : -highest - 1);
      case Reducer::min: return real ? number_text(round_to(infinity, type)) : number_text(highest);
      case Reducer::all: return "1ll";
      default: return real ? "0.0" : "0ll";
    }
  }
  void add(Reducer op, DType type, const std::string& x) {
    const bool real = is_float(type);
    switch (op) {
      case Reducer::sum: case Reducer::mean: line(real ? "sum += " + x + ";" : "sum = " + wrapped_text("sum + " + x, type) + ";"); return;
      case Reducer::prod: line(real ? "sum *= " + x + ";" : "sum = " + wrapped_text("sum * " + x, type) + ";"); return;
      case Reducer::min: line(fmt::format("sum = smaller(sum, {});", x)); return;
      case Reducer::max: line(fmt::format("sum = larger(sum, {});", x)); return;
      case Reducer::any: line(fmt::format("sum = sum || {};", x)); return;
      case Reducer::all: line(fmt::format("sum = sum && {};", x)); return;
      case Reducer::argmax: case Reducer::argmin:
        line(fmt::format("if (count == 0 || (best == best && ({0} != {0} || {0} {1} best))) best = {0}, sum = count;", x, op == Reducer::argmax ? ">" : "<"));
        line("++count;");
    }
  }
  static std::string finished(Reducer op, DType type) {
    const bool adds = op == Reducer::sum || op == Reducer::prod;
    return adds && is_narrow_float(type) ? rounded_text("sum", type) : "sum";
  }

  // ---- expressions
  std::string value(const Expr& e) {
    return match(e,
        [&](const Literal& l) -> std::string {
          if (!is_float(e->type)) return number_text(l.integer);
          const double v = l.decimal ? l.real : static_cast<double>(l.integer);
          return number_text(e->type == DType::f32 ? v : round_to(v, e->type));
        },
        [&](const Var& v) -> std::string { return vars_.at(v.id); },
        [&](const Unary& u) { return unary(u, e->type); },
        [&](const Binary& b) { return binary(b, e->type); },
        [&](const Select& s) {
          const std::string c = value(s.condition);
          return choose(is_float(e->type), c, [&] { return value(s.then); }, [&] { return value(s.otherwise); });
        },
        [&](const Cast& c) { return cast(value(c.a), c.a->type, c.to.concrete()); },
        [&](const Read& r) { return read(r); },
        [&](const Reduce&) -> std::string { invariant_failed("a reduction inside of a lifted stage", here()); return ""; });
  }
  template <class A, class B>
  std::string choose(bool real, const std::string& condition, A then, B otherwise) {
    std::string t = fresh();
    line(fmt::format("{} {};", word(real), t));
    open(fmt::format("if ({}) {{", condition));
    line(fmt::format("{} = {};", t, then()));
    --depth_;
    open("} else {");
    line(fmt::format("{} = {};", t, otherwise()));
    close();
    return t;
  }

  std::string unary(const Unary& u, DType type) {
    std::string a = value(u.a);
    if (u.op == UnOp::logical_not) return let(false, fmt::format("!{}", a));
    if (!is_float(type)) {
      const std::string negative = fmt::format("(long long)(0ull - (unsigned long long){})", a);
      if (u.op == UnOp::square) return let(false, wrapped_text(fmt::format("{0} * {0}", a), type));
      if (u.op == UnOp::neg) return let(false, wrapped_text(negative, type));
      if (u.op == UnOp::abs) return let(false, wrapped_text(fmt::format("({0} < 0 ? {1} : {0})", a, negative), type));
      return a;
    }
    for (const FunctionText& f : functions)
      if (f.op == u.op) return let(true, narrowed(fmt::format(fmt::runtime(f.text), a), type));
    return a;
  }
  static std::string narrowed(const std::string& v, DType type) { return is_narrow_float(type) ? rounded_text("(" + v + ")", type) : v; }

  std::string binary(const Binary& b, DType type) {
    if (b.op == BinOp::logical_and || b.op == BinOp::logical_or) {
      const bool both = b.op == BinOp::logical_and;
      const std::string x = value(b.a);
      return choose(false, x, [&] { return both ? value(b.b) : std::string("1ll"); }, [&] { return both ? std::string("0ll") : value(b.b); });
    }
    const std::string x = value(b.a), y = value(b.b);
    const bool real = is_float(b.a->type);
    const auto arithmetic = [&](const char* op) {
      if (real) return let(true, narrowed(fmt::format("{} {} {}", x, op, y), type));
      return let(false, wrapped_text(fmt::format("(long long)((unsigned long long){} {} (unsigned long long){})", x, op, y), type));
    };
    const auto compare = [&](const char* op) { return let(false, fmt::format("{} {} {}", x, op, y)); };
    switch (b.op) {
      case BinOp::add: return arithmetic("+");
      case BinOp::sub: return arithmetic("-");
      case BinOp::mul: return arithmetic("*");
      case BinOp::div: return real ? arithmetic("/") : let(false, wrapped_text(fmt::format("floor_div({}, {})", x, y), type));
      case BinOp::mod: return let(false, wrapped_text(fmt::format("floor_mod({}, {})", x, y), type));
      case BinOp::min: return let(real, fmt::format("smaller({}, {})", x, y));
      case BinOp::max: return let(real, fmt::format("larger({}, {})", x, y));
      case BinOp::pow: return let(true, narrowed(fmt::format("pow({}, {})", x, y), type));
      case BinOp::less: return compare("<");
      case BinOp::less_equal: return compare("<=");
      case BinOp::equal: return compare("==");
      default: return compare("!=");
    }
  }

  std::string cast(const std::string& a, DType from, DType to) {
    const TypeInfo &f = info(from), &t = info(to);
    if (f.is_float && t.is_float) {
      const bool exact = t.mantissa_bits >= f.mantissa_bits && t.exponent_bits >= f.exponent_bits && to != DType::e5m2;
      return exact ? a : let(true, rounded_text(a, to));
    }
    if (f.is_float) {
      if (to == DType::boolean) return let(false, fmt::format("{} != 0", a));
      const int bits = static_cast<int>(8 * bytes_of(to));
      const double highest = to == DType::u8 ? 255.0 : std::ldexp(1.0, bits - 1) - (bits < 64 ? 1 : 0), lowest = to == DType::u8 ? 0.0 : -std::ldexp(1.0, bits - 1);
      return let(false, fmt::format("truncated({}, {}, {})", a, number_text(lowest), number_text(highest)));
    }
    if (!t.is_float) return let(false, wrapped_text(a, to));
    if (to == DType::f32) return let(true, fmt::format("(double)(float){}", a));
    return let(true, rounded_text("(double)" + a, to));
  }

  std::string load(TensorId t, const std::string& at) {
    const DType type = lifted_.kernel[t].type.concrete();
    const std::string element = fmt::format("{}[{}]", tensor(t), at);
    if (lifted_.stage_of(t)) return let(is_float(type), element);
    if (!is_float(type)) return let(false, type == DType::boolean ? element + " != 0" : element);
    return let(true, decoded_text(element, type));
  }

  std::string read(const Read& r) {
    if (r.index.empty() && lifted_.kernel[r.tensor].by_value) return tensor(r.tensor);
    std::vector<std::string> at;
    for (const Expr& i : r.index) at.push_back(value(i));
    const std::vector<std::int64_t>& shape = shapes_.at(r.tensor);
    if (!r.otherwise) return load(r.tensor, offset(at, shape));
    std::string inside = "1";
    for (std::size_t d = 0; d < at.size(); ++d) inside += fmt::format(" && {0} >= 0 && {0} < {1}ll", at[d], shape[d]);
    if (const te::LiftedStage* s = lifted_.stage_of(r.tensor)) {  // a ragged domain ends before its box
      const auto saved = vars_;
      for (std::size_t d = 0; d < at.size(); ++d) {
        if (!constant_of(s->axes[d].extent)) inside += fmt::format(" && {} < {}", at[d], value(s->axes[d].extent));
        vars_[s->axes[d].var] = at[d];
      }
      vars_ = saved;
    }
    return choose(is_float(lifted_.kernel[r.tensor].type.concrete()), inside, [&] { return load(r.tensor, offset(at, shape)); },
                  [&] { return value(r.otherwise); });
  }
};

}  // namespace

Result<Reference> reference(const te::Lifted& lifted, const std::map<std::string, std::int64_t>& given, const std::string& arch) {
  std::map<VarId, std::int64_t> dims;
  std::map<VarId, te::DimRange> exact;
  for (const auto& [v, range] : lifted.runtime) {
    const auto found = given.find(lifted.kernel[v].name);
    if (found == given.end()) return refuse(Code::dim_missing, "runtime dim", lifted.kernel[v].name);
    dims[v] = found->second;
    exact[v] = {found->second, found->second, 1};
  }
  const auto largest = [&](const te::Prover& prover, const Expr& e) {
    const auto r = prover.range(e);
    return r ? std::max<std::int64_t>(0, static_cast<std::int64_t>(r->last)) : 0;
  };
  std::map<TensorId, std::vector<std::int64_t>> shapes;
  for (TensorId t : lifted.kernel.inputs)
    for (const Expr& e : (shapes[t], lifted.kernel[t].shape)) shapes[t].push_back(largest(te::Prover(exact), e));
  for (const te::LiftedStage& s : lifted.stages) {
    te::Prover prover(exact);
    shapes[s.tensor];
    for (const Axis& a : s.axes) {
      shapes[s.tensor].push_back(largest(prover, a.extent));
      prover.enter(a);
    }
  }

  Reference out;
  Contract& c = out.contract;
  c.name = "reference";
  c.tecc_version = "0.1.0";
  const auto buffer = [&](TensorId t, Role role, DType type) {
    ContractBuffer b;
    b.name = lifted.kernel[t].name;
    b.role = role;
    b.dtype = type;
    if (role != Role::scalar) {
      b.align = 8;
      std::int64_t stride = 1;
      for (std::int64_t extent : shapes[t]) b.shape.push_back(std::to_string(extent));
      b.strides.resize(b.shape.size());
      for (std::size_t d = b.shape.size(); d-- > 0; stride *= shapes[t][d]) b.strides[d] = std::to_string(stride);
    }
    c.buffers.push_back(std::move(b));
  };
  const auto wide = [](DType t) { return is_float(t) ? DType::f64 : DType::i64; };
  for (TensorId t : lifted.kernel.inputs) {
    const te::Tensor& x = lifted.kernel[t];
    buffer(t, x.by_value ? Role::scalar : Role::input, x.by_value ? wide(x.type.concrete()) : x.type.concrete());
  }
  std::set<TensorId> outputs(lifted.kernel.outputs.begin(), lifted.kernel.outputs.end());
  for (TensorId t : lifted.kernel.outputs) buffer(t, Role::output, wide(lifted.kernel[t].type.concrete()));

  std::string workspace = "workspace";
  const auto taken = [&] { return c.find_buffer(workspace) != nullptr; };
  while (taken()) workspace += "_";
  std::map<TensorId, std::int64_t> offsets;
  std::int64_t bytes = 0;
  for (const te::LiftedStage& s : lifted.stages) {
    if (outputs.count(s.tensor)) continue;
    std::int64_t size = 8;
    for (std::int64_t extent : shapes[s.tensor]) size *= extent;
    offsets[s.tensor] = bytes;
    bytes += (size + 255) / 256 * 256;
  }
  if (bytes) {
    ContractBuffer b;
    b.name = workspace;
    b.role = Role::workspace;
    b.align = 256;
    b.bytes = std::to_string(bytes);
    c.buffers.push_back(b);
  }

  out.source = reference_helpers();
  Variant v;
  v.target = CudaIsa{arch, false};
  for (std::size_t n = 0; n < lifted.stages.size(); ++n) {
    const te::LiftedStage& s = lifted.stages[n];
    const std::string name = fmt::format("reference_{}", n);
    StagePrinter printer(lifted, shapes, dims);
    out.source += printer.run(s, name);
    CudaLaunch launch;
    launch.kernel = name;
    launch.image = "reference.cubin";
    std::int64_t rows = 1;
    for (std::size_t d = 0; d + (s.scan ? 1 : 0) < shapes[s.tensor].size(); ++d) rows *= shapes[s.tensor][d];
    launch.grid[0] = std::to_string((rows + threads - 1) / threads);
    launch.block[0] = threads;
    for (TensorId t : printer.used()) {
      const te::Tensor& x = lifted.kernel[t];
      if (x.by_value) launch.args.push_back(ScalarArg{wide(x.type.concrete()), x.name});
      else if (const auto at = offsets.find(t); at != offsets.end()) launch.args.push_back(BufferArg{workspace, std::to_string(at->second)});
      else launch.args.push_back(BufferArg{x.name, "0"});
    }
    v.launches.push_back(std::move(launch));
  }
  c.variants.push_back(std::move(v));
  c.numerics.accumulate = "f64";
  return out;
}

}  // namespace tecc::codegen::cuda
