#include "codegen/cuda/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "codegen/access.h"
#include "codegen/cuda/prelude.h"
#include "compiler/pass/passes.h"
#include "ir/loop/affine.h"
#include "ir/numeric.h"

namespace tecc::codegen::cuda {

using namespace loop;

namespace {

// ---- tables -----------------------------------------------------------------------------------------------------------
struct TypeText { DType type; std::string_view memory, cast; };  // name in CUDA; function that converts f32 to it
// clang-format off
constexpr TypeText types[] = {
    {DType::boolean, "unsigned char", ""}, {DType::i8, "signed char", "tecc_to_i8"}, {DType::u8, "unsigned char", "tecc_to_u8"},
    {DType::i16, "short", "tecc_to_i16"}, {DType::i32, "int", "tecc_to_i32"}, {DType::i64, "long long", "tecc_to_i64"},
    {DType::f16, "tecc_f16", "tecc_to_f16"}, {DType::bf16, "tecc_bf16", "tecc_to_bf16"}, {DType::f32, "float", "(float)"},
    {DType::f64, "double", "(double)"}, {DType::e4m3, "tecc_e4m3", "tecc_to_e4m3"}, {DType::e5m2, "tecc_e5m2", "tecc_to_e5m2"},
    {DType::tf32, "float", "tecc_to_tf32"},
};
struct FunctionText { UnOp op; std::string_view f32, f64, integer; };
constexpr FunctionText functions[] = {
    {UnOp::neg, "-{}", "-{}", "-{}"}, {UnOp::logical_not, "!{}", "!{}", "!{}"}, {UnOp::abs, "fabsf({})", "fabs({})", "abs({})"},
    {UnOp::exp, "expf({})", "exp({})", ""}, {UnOp::log, "logf({})", "log({})", ""}, {UnOp::sqrt, "sqrtf({})", "sqrt({})", ""},
    {UnOp::rsqrt, "rsqrtf({})", "rsqrt({})", ""}, {UnOp::tanh, "tanhf({})", "tanh({})", ""}, {UnOp::erf, "erff({})", "erf({})", ""},
    {UnOp::sin, "sinf({})", "sin({})", ""}, {UnOp::cos, "cosf({})", "cos({})", ""}, {UnOp::sigmoid, "tecc_sigmoid({})", "tecc_sigmoid({})", ""},
    {UnOp::floor, "floorf({})", "floor({})", "{}"}, {UnOp::ceil, "ceilf({})", "ceil({})", "{}"}, {UnOp::round, "rintf({})", "rint({})", "{}"},
    {UnOp::square, "tecc_square({})", "tecc_square({})", "tecc_square({})"},
};
struct OperatorText { BinOp op; std::string_view text; };
constexpr OperatorText operators[] = {
    {BinOp::add, "({} + {})"}, {BinOp::sub, "({} - {})"}, {BinOp::mul, "({} * {})"}, {BinOp::div, "({} / {})"}, {BinOp::less, "({} < {})"},
    {BinOp::less_equal, "({} <= {})"}, {BinOp::equal, "({} == {})"}, {BinOp::not_equal, "({} != {})"}, {BinOp::logical_and, "({} && {})"},
    {BinOp::logical_or, "({} || {})"}, {BinOp::min, "tecc_min({}, {})"}, {BinOp::max, "tecc_max({}, {})"},
};
constexpr std::string_view reserved[] = {"asm", "auto", "bool", "break", "case", "char", "class", "const", "continue", "default", "delete", "do",
    "double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "new", "operator", "private", "public",
    "register", "return", "short", "signed", "sizeof", "static", "struct", "switch", "template", "this", "true", "typedef", "union", "unsigned",
    "using", "virtual", "void", "volatile", "while", "min", "max", "tid", "bid", "threadIdx", "blockIdx", "exp", "log", "abs", "floor", "ceil"};
// clang-format on

std::string_view memory_type(DType t) { return types[static_cast<int>(t)].memory; }

std::string identifier(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) name = "x" + name;
  if (std::find(std::begin(reserved), std::end(reserved), name) != std::end(reserved) || name.starts_with("tecc_") || name.starts_with("v_")) name += "_";
  return name;
}

std::string float_text(double v, DType type) {
  if (type == DType::f64) {
    if (std::isnan(v)) return "__longlong_as_double(0x7ff8000000000000ll)";
    if (std::isinf(v)) return v > 0 ? "__longlong_as_double(0x7ff0000000000000ll)" : "__longlong_as_double(0xfff0000000000000ll)";
    const std::string s = fmt::format("{}", v);
    return s.find_first_of(".e") == std::string::npos ? s + ".0" : s;
  }
  const auto f = static_cast<float>(v);
  if (std::isnan(f)) return "__int_as_float(0x7fc00000)";
  if (std::isinf(f)) return f > 0 ? "__int_as_float(0x7f800000)" : "__int_as_float(0xff800000)";
  const std::string s = fmt::format("{}", f);
  return (s.find_first_of(".e") == std::string::npos ? s + ".0" : s) + "f";
}

// ---- one kernel -------------------------------------------------------------------------------------------------------
class KernelEmitter {
 public:
  KernelEmitter(const Program& p, StmtId root, std::string kernel_name) : p_(p), root_(root), names_(names_of(p)) {
    kernel_.name = std::move(kernel_name);
    kernel_.threads = compiler::threads_of(p, root);
  }

  Result<Kernel> run(std::string& out) {
    collect();
    if (why_) return *why_;
    std::string body;
    std::swap(body, out_);
    header();
    declare_storage();
    decode_blocks();
    for (StmtId c : p_[inside_].children) statement(c);
    if (why_) return *why_;
    std::string text = fmt::format("\nextern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n", kernel_.threads, kernel_.name, parameters_);
    out += text + out_ + "}\n";
    return kernel_;
  }

 private:
  const Program& p_;
  StmtId root_, inside_;  // inside_: below the loops bound to blocks
  Names names_;
  Kernel kernel_;
  std::string out_, parameters_;
  int depth_ = 1;
  bool wide_ = false;  // 64-bit indices
  std::optional<Refusal> why_;
  std::vector<TensorId> globals_;
  std::map<TensorId, std::string> buffer_names_;
  std::set<std::string> taken_;
  std::optional<Block::Ahead> ahead_;
  std::map<const ExprNode*, std::string> lanes_;  // reads replaced by a vector's lane
  BlockId block_{};

  void line(const std::string& text) { out_ += std::string(2 * static_cast<std::size_t>(depth_), ' ') + text + "\n"; }
  std::string index_type() const { return wide_ ? "long long" : "int"; }
  std::string loop_var(LoopId l) { return identifier(names_.var(p_.loop(l).var)); }

  // What the kernel touches, in order of first use; whether 32 bits suffice for its indices.
  void collect() {
    inside_ = root_;
    while (p_[inside_].children.size() == 1 && p_[p_[inside_].children[0]].as<Loop>() && p_.loop(p_[inside_].children[0]).group == Group::block)
      inside_ = p_[inside_].children[0];
    const auto touch = [&](TensorId t) {
      if (buffer_names_.count(t)) return;
      std::string name = identifier(p_[t].name);
      while (!taken_.insert(name).second) name += "_";
      buffer_names_[t] = name;
      if (p_[t].scope == Scope::global) globals_.push_back(t);
    };
    constexpr std::int64_t limit = (std::int64_t{1} << 31) - 1;
    const auto measure = [&](TensorId t) {
      std::int64_t elements = 1;
      for (const Expr& e : p_[t].shape)
        if (__builtin_mul_overflow(elements, std::max<std::int64_t>(largest(p_, e), 1), &elements)) elements = limit + 1;
      wide_ |= elements > limit;
    };
    for (BlockId id : blocks_under(p_, root_)) {
      const Block& b = p_.block(id);
      for (TensorId t : read_buffers(b)) touch(t), measure(t);
      for (const Write& w : b.writes) {
        touch(w.buffer), measure(w.buffer);
        walk(w.value, [&](const Expr& e) {  // i64 arithmetic of tensors needs its own width: values are typed, indices are not
          if (e.as<Read>() || e.as<Cast>()) wide_ |= e->type == DType::i64;
          return true;
        });
      }
      for (const Iter& i : b.iters) wide_ |= range_of(p_, i.binding).high > limit || largest(p_, i.upper) > limit;
      if (b.combiner == Reducer::argmax || b.combiner == Reducer::argmin) wide_ = true;
    }
  }

  void header() {
    std::vector<std::string> params;
    for (TensorId t : globals_) {
      const Buffer& b = p_[t];
      kernel_.arguments.push_back(BufferArgument{t});
      const bool written = !writers_in_kernel(t).empty();
      if (b.by_value) params.push_back(fmt::format("{} {}", memory_type(b.type), buffer_names_[t]));
      else params.push_back(fmt::format("{}{}* __restrict__ {}", written ? "" : "const ", memory_type(b.type), buffer_names_[t]));
    }
    for (const auto& [v, range] : p_.dims) {
      kernel_.arguments.push_back(DimArgument{v});
      params.push_back(fmt::format("long long {}", identifier(p_.vars[v].name) + "_dim"));
    }
    parameters_ = fmt::format("{}", fmt::join(params, ", "));
    for (const auto& [v, range] : p_.dims)
      line(fmt::format("const {} {} = {}_dim;", index_type(), identifier(p_.vars[v].name), identifier(p_.vars[v].name)));
  }

  std::vector<BlockId> writers_in_kernel(TensorId t) const {
    std::vector<BlockId> out;
    for (BlockId b : blocks_under(p_, root_))
      if (writes(p_.block(b), t)) out.push_back(b);
    return out;
  }

  void declare_storage() {
    const std::function<void(StmtId)> scratch = [&](StmtId s) {
      if (const auto* c = p_[s].as<Combine>()) {
        std::string name = identifier(p_[c->scratch].name);
        while (!taken_.insert(name).second) name += "_";
        buffer_names_[c->scratch] = name;
      }
      for (StmtId child : p_[s].children) scratch(child);
    };
    scratch(root_);
    std::int64_t shared = 0;
    for (const auto& [t, name] : buffer_names_)
      if (p_[t].scope == Scope::shared) shared = std::max(shared, p_[t].storage->offset_bytes + p_[t].storage->elements * p_[t].slots * bytes_of(p_[t].type));
    kernel_.shared_bytes = shared;
    if (shared) line("extern __shared__ __align__(1024) unsigned char tecc_shared[];");
    for (const auto& [t, name] : buffer_names_) {
      const Buffer& b = p_[t];
      if (b.scope == Scope::shared) {
        line(fmt::format("{0}* const {1} = reinterpret_cast<{0}*>(tecc_shared + {2});", memory_type(b.type), name, b.storage->offset_bytes));
      } else if (b.scope != Scope::global) {
        line(fmt::format("alignas(16) {} {}[{}];", memory_type(b.type), name, std::max<std::int64_t>(b.storage->elements * b.slots, 1)));
      }
    }
  }

  void decode_blocks() {
    if (kernel_.threads > 1) line("const int tid = threadIdx.x;");
    const std::vector<LoopId> loops = bound(inside_, Group::block);
    kernel_.grid = index_literal(1);
    for (LoopId l : loops) kernel_.grid = kernel_.grid * p_.loop(l).extent;
    if (loops.empty()) return;
    line(fmt::format("const {} bid = blockIdx.x;", index_type()));
    std::string faster;
    for (auto l = loops.rbegin(); l != loops.rend(); ++l) {
      const std::string extent = value(p_.loop(*l).extent);
      const bool slowest = l + 1 == loops.rend();
      line(fmt::format("const {} {} = bid{}{};", index_type(), loop_var(*l), faster.empty() ? "" : " / (" + faster + ")", slowest ? "" : " % " + extent));
      faster += (faster.empty() ? "" : " * ") + extent;
    }
  }

  std::vector<LoopId> bound(StmtId s, Group g) const { return compiler::bound_loops(p_, s, g); }

  // ---- statements -----------------------------------------------------------------------------------------------------
  void statement(StmtId s) {
    if (const auto* l = p_[s].as<Loop>()) loop(s, *l);
    else if (p_[s].as<Block>()) block(s);
    else if (p_[s].as<Barrier>()) line("__syncthreads();");
    else if (const auto* c = p_[s].as<Combine>()) combine(*c);
  }

  void loop(LoopId id, const Loop& l) {
    if (l.group == Group::thread) {
      thread_loop(id);
      return;
    }
    if (l.group != Group::none) {
      why_ = refuse(Code::no_lowering, "CUDA", "a loop bound to warps, warpgroups or clusters");
      return;
    }
    if (l.kind == LoopKind::vectorized && vector_loop(id)) return;
    const auto extent = constant_extent(p_, id);
    const std::string v = loop_var(id);
    std::set<LoopId> retired;
    Binding named;  // retired loops in the extent of a ragged loop
    walk(l.extent, [&](const Expr& e) {
      if (const auto* x = e.as<Var>())
        if (const auto r = loop_of_var(p_, x->id); r && p_.loop(*r).retired) named.digits.push_back({*r});
      return true;
    });
    if (!named.digits.empty()) {
      line("{");
      ++depth_;
      declare_retired(named, retired);
    }
    if (l.kind == LoopKind::unrolled || l.kind == LoopKind::vectorized || (extent && *extent <= 256 && indexes_private(id))) line("#pragma unroll");
    else if (!extent || *extent > 4) line("#pragma unroll 1");
    line(fmt::format("for ({0} {1} = 0; {1} < {2}; ++{1}) {{", index_type(), v, value(l.extent)));
    children(id);
    if (!named.digits.empty()) {
      --depth_;
      line("}");
    }
  }

  void children(StmtId s) {
    ++depth_;
    for (StmtId c : p_[s].children) statement(c);
    --depth_;
    line("}");
  }

  /// True if an address in a private buffer changes with the loop: unless unrolled, the buffer would leave the registers.
  bool indexes_private(LoopId l) const {
    for (BlockId id : blocks_under(p_, l)) {
      const Block& b = p_.block(id);
      bool found = false;
      const auto check = [&](TensorId t, const std::vector<Expr>& index) {
        if (p_[t].storage && p_[t].storage->private_to_thread) found |= !is_uniform(p_, b, address_of(p_, id, t, index), l);
      };
      for (const Write& w : b.writes) {
        check(w.buffer, w.index);
        walk(w.value, [&](const Expr& e) {
          if (const auto* r = e.as<Read>()) check(r->tensor, r->index);
          return true;
        });
      }
      if (found) return true;
    }
    return false;
  }

  void thread_loop(LoopId id) {
    const auto& l = p_.loop(id);
    const std::int64_t extent = *constant_extent(p_, id);
    const auto digit = *compiler::thread_digit(p_, Digit{id});
    const bool topmost = *compiler::thread_nest(p_, id) == id;
    std::string open = "{";
    if (topmost && extent * digit.div < kernel_.threads) open = fmt::format("if (tid < {}) {{", extent * digit.div);
    line(open);
    ++depth_;
    std::string text = kernel_.threads == 1 ? "0" : "tid";
    if (digit.div != 1) text += fmt::format(" / {}", digit.div);
    if (!topmost) text += fmt::format(" % {}", extent);
    line(fmt::format("const {} {} = {};", index_type(), identifier(names_.var(l.var)), text));
    --depth_;
    children(id);
  }

  void combine(const Combine& c) {
    const Buffer& b = p_[c.buffers[0]];
    const std::string op = fmt::format("tecc_op_{}", symbol(c.op));
    const std::int64_t elements = b.storage ? b.storage->elements : 1;
    line(elements == 1 ? "{" : fmt::format("#pragma unroll\n  for (int e = 0; e < {}; ++e) {{", elements));
    ++depth_;
    const std::string at = elements == 1 ? "0" : "e";
    const std::string call = fmt::format("tecc_combine<{}, {}, {}, {}>", op, c.threads, c.stride, kernel_.threads);
    const std::string& first = buffer_names_[c.buffers[0]];
    if (c.buffers.size() == 1) {
      line(fmt::format("{0}[{1}] = {2}({0}[{1}], {3});", first, at, call, buffer_names_[c.scratch]));
    } else {
      const std::string& second = buffer_names_[c.buffers[1]];
      line(fmt::format("tecc_at<{}> best = {{{}[{}], {}[{}]}};", memory_type(b.type), first, at, second, at));
      line(fmt::format("best = {}(best, {});", call, buffer_names_[c.scratch]));
      line(fmt::format("{}[{}] = best.value; {}[{}] = best.position;", first, at, second, at));
    }
    --depth_;
    line("}");
  }

  /// Opens the scope of a block: iteration variables it names, guards.
  void open_block(BlockId id, const std::string& comment) {
    block_ = id;
    const Block& b = p_.block(id);
    ahead_ = b.ahead;
    line(fmt::format("{{  // {}", comment));
    ++depth_;
    std::set<VarId> used;
    const auto note = [&](const Expr& e) {
      walk(e, [&](const Expr& x) {
        if (const auto* v = x.as<Var>()) used.insert(v->id);
        return true;
      });
    };
    for (const Expr& g : b.guards) note(g);
    const auto note_address = [&](TensorId t, const std::vector<Expr>& index) {
      for (const Address::General& g : address_of(p_, id, t, index).general) note(g.index);
    };
    const std::function<void(const Expr&)> note_value = [&](const Expr& e) {
      if (const auto* r = e.as<Read>()) {
        note_address(r->tensor, r->index);
        for (const Expr& c : in_bounds(p_, b, *r)) note(c);
        if (r->otherwise) note_value(r->otherwise);
        for (const Expr& i : r->index)
          if (!affine_of(i)) for_each_child(i, note_value);
      } else if (const auto* v = e.as<Var>()) {
        used.insert(v->id);
      } else {
        for_each_child(e, note_value);
      }
    };
    for (const Write& w : b.writes) {
      note_address(w.buffer, w.index);
      note_value(w.value);
    }
    if (is_scan(b)) used.insert(b.iters.back().var);
    std::set<LoopId> retired;
    for (const Iter& i : b.iters) declare_retired(i.binding, retired);
    for (const Iter& i : b.iters)
      if (used.count(i.var)) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
    std::string condition;
    for (const Expr& g : b.guards) condition += (condition.empty() ? "" : " && ") + value(g);
    if (needs_one_thread(id)) condition += (condition.empty() ? "" : " && ") + std::string("tid == 0");
    if (!condition.empty()) line(fmt::format("if ({})", condition));
  }
  void close_block() {
    --depth_;
    line("}");
    ahead_.reset();
  }

  void declare_retired(const Binding& b, std::set<LoopId>& done) {
    for (const Digit& d : b.digits) {
      const Loop& l = p_.loop(d.loop);
      if (!l.retired || !done.insert(d.loop).second) continue;
      declare_retired(*l.retired, done);
      line(fmt::format("const {} {} = {};", index_type(), loop_var(d.loop), binding(*l.retired)));
    }
  }

  /// Outside of any nest bound to threads: private results are made by every thread, others by one.
  bool needs_one_thread(BlockId id) const {
    if (kernel_.threads == 1 || compiler::thread_nest(p_, id)) return false;
    const TensorId t = p_.block(id).writes[0].buffer;
    return !(p_[t].storage && p_[t].storage->private_to_thread);
  }

  static bool is_scan(const Block& b) {
    return b.combiner && std::any_of(b.iters.begin(), b.iters.end(), [](const Iter& i) { return i.kind == IterKind::scan; });
  }

  std::string combined(const Block& b, DType type, const std::string& a, const std::string& x) {
    switch (*b.combiner) {
      case Reducer::sum:
      case Reducer::mean: return fmt::format("{} + {}", a, x);
      case Reducer::prod: return fmt::format("{} * {}", a, x);
      case Reducer::min: return narrow_pair("tecc_min", type, a, x);
      case Reducer::max: return narrow_pair("tecc_max", type, a, x);
      case Reducer::any: return fmt::format("{} || {}", a, x);
      case Reducer::all: return fmt::format("{} && {}", a, x);
      default: return x;
    }
  }
  std::string narrow_pair(std::string_view function, DType type, const std::string& a, const std::string& x) {
    if (is_narrow_float(type)) return fmt::format("{}({}(tecc_to_f32({}), tecc_to_f32({})))", types[static_cast<int>(type)].cast, function, a, x);
    return fmt::format("{}<{}>({}, {})", function, memory_type(type), a, x);
  }

  void block(BlockId id) {
    const Block& b = p_.block(id);
    open_block(id, b.name);
    const Write& w = b.writes[0];
    const DType type = p_[w.buffer].type;
    const std::string target = element(id, w.buffer, w.index);
    if (b.writes.size() == 2 && b.combiner) {
      const Write& position = b.writes[1];
      const std::string place = element(id, position.buffer, position.index);
      line("{");
      line(fmt::format("  const auto best = tecc_better<{0}>(tecc_at<{1}>{{{2}, {3}}}, tecc_at<{1}>{{{4}, (long long){5}}});",
                       *b.combiner == Reducer::argmax ? "true" : "false", memory_type(type), target, place, value(w.value), value(position.value)));
      line(fmt::format("  {} = best.value; {} = best.position;", target, place));
      line("}");
    } else if (b.writes.size() == 2) {
      line(fmt::format("{{ {} = {}; {} = {}; }}", target, value(w.value), element(id, b.writes[1].buffer, b.writes[1].index), value(b.writes[1].value)));
    } else if (is_scan(b)) {
      std::vector<Expr> before = w.index;
      std::string first;
      for (Expr& e : before)
        if (const auto* v = e.as<Var>(); v && iter_of(b, v->id) && iter_of(b, v->id)->kind == IterKind::scan) {
          first = fmt::format("{} > {}", value(e), iter_of(b, v->id)->lower);
          e = e - 1;
        }
      const std::string start = value(identity_of(*b.combiner, type));
      line(fmt::format("{} = {};", target, combined(b, type, fmt::format("({} ? {} : {})", first, element(id, w.buffer, before), start), value(w.value))));
    } else if (b.combiner) {
      if (*b.combiner == Reducer::sum && !is_narrow_float(type)) line(fmt::format("{} += {};", target, value(w.value)));
      else line(fmt::format("{} = {};", target, combined(b, type, target, value(w.value))));
    } else {
      line(fmt::format("{} = {};", target, value(w.value)));
    }
    close_block();
  }

  // ---- vectors --------------------------------------------------------------------------------------------------------
  static bool fits_vector(std::int64_t bytes) { return bytes == 2 || bytes == 4 || bytes == 8 || bytes % 16 == 0; }

  /// A vectorized loop around one block: wide accesses where elements are neighbours, an unrolled loop for the arithmetic.
  bool vector_loop(LoopId v) {
    const auto extent = constant_extent(p_, v);
    if (!extent || p_[v].children.size() != 1 || !p_[p_[v].children[0]].as<Block>()) return false;
    const BlockId id = p_[v].children[0];
    const Block& b = p_.block(id);
    if (b.combiner || b.writes.size() != 1) return false;
    for (const Expr& g : b.guards)
      if (!guard_is_uniform(p_, b, g, v, *extent)) return false;
    const Write& w = b.writes[0];
    const auto wide = [&](TensorId t, const std::vector<Expr>& index) {
      const Buffer& buffer = p_[t];
      const std::int64_t bytes = *extent * bytes_of(buffer.type);
      const bool in_registers = buffer.storage && buffer.storage->private_to_thread;
      if (buffer.by_value || in_registers || !fits_vector(bytes)) return false;
      const std::int64_t word = std::min<std::int64_t>(bytes, 16) / bytes_of(buffer.type);
      if (buffer.scope == Scope::global && buffer.alignment < std::min<std::int64_t>(bytes, 16)) return false;
      return is_vector(p_, address_of(p_, id, t, index), v, std::min(word, *extent));
    };
    struct Load { const ExprNode* node; TensorId t; std::vector<Expr> index; };
    std::vector<Load> loads;
    walk(w.value, [&](const Expr& e) {
      if (const auto* r = e.as<Read>(); r && (!r->otherwise || in_bounds(p_, b, *r).empty()) && wide(r->tensor, r->index)) loads.push_back({&*e, r->tensor, r->index});
      return true;
    });
    const bool wide_store = wide(w.buffer, w.index);
    if (loads.empty() && !wide_store) return false;

    line(fmt::format("{{  // {}, {} at a time", b.name, *extent));
    ++depth_;
    block_ = id;
    ahead_ = b.ahead;
    std::string condition;
    {
      // Guards for the first lane stand for all.
      std::set<LoopId> retired;
      line(fmt::format("const {} {} = 0;", index_type(), loop_var(v)));
      for (const Iter& i : b.iters) declare_retired(i.binding, retired);
      for (const Iter& i : b.iters) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
      for (const Expr& g : b.guards) condition += (condition.empty() ? "" : " && ") + value(g);
      if (needs_one_thread(id)) condition += (condition.empty() ? "" : " && ") + std::string("tid == 0");
      line(condition.empty() ? "{" : fmt::format("if ({}) {{", condition));
    }
    ++depth_;
    for (std::size_t n = 0; n < loads.size(); ++n) {
      line(fmt::format("const auto tecc_r{} = tecc_load<{}, {}>(&{});", n, memory_type(p_[loads[n].t].type), *extent, element(id, loads[n].t, loads[n].index)));
      lanes_[loads[n].node] = fmt::format("tecc_r{}.lane[tecc_lane]", n);
    }
    if (wide_store) line(fmt::format("tecc_vec<{}, {}> tecc_w;", memory_type(p_[w.buffer].type), *extent));
    line("#pragma unroll");
    line(fmt::format("for (int tecc_lane = 0; tecc_lane < {}; ++tecc_lane) {{", *extent));
    ++depth_;
    line(fmt::format("const {} {} = tecc_lane;", index_type(), loop_var(v)));
    {
      std::set<LoopId> retired;
      for (const Iter& i : b.iters) declare_retired(i.binding, retired);
      for (const Iter& i : b.iters)
        if (depends_on(p_, i.binding, v)) line(fmt::format("const {} v_{} = {};", index_type(), identifier(p_.vars[i.var].name), binding(i.binding)));
    }
    if (wide_store) line(fmt::format("tecc_w.lane[tecc_lane] = {};", value(w.value)));
    else line(fmt::format("{} = {};", element(id, w.buffer, w.index), value(w.value)));
    --depth_;
    line("}");
    if (wide_store) line(fmt::format("tecc_store(&{}, tecc_w);", element(id, w.buffer, w.index)));
    --depth_;
    line("}");
    lanes_.clear();
    close_block();
    return true;
  }

  // ---- expressions ----------------------------------------------------------------------------------------------------
  std::string digit(const Digit& d) {
    std::string text = loop_var(d.loop);
    if (ahead_ && d.loop == ahead_->loop) text = fmt::format("({} + {})", text, ahead_->by);
    if (d.div != 1) text = fmt::format("{} / {}", text, d.div);
    if (d.mod) text = fmt::format("{} % {}", text, d.mod);
    if (d.div != 1 || d.mod) text = "(" + text + ")";
    if (d.stride != 1) text += fmt::format(" * {}", literal_text(d.stride));
    return text;
  }
  std::string literal_text(std::int64_t v) const { return std::abs(v) > 0x7fffffff || wide_ ? fmt::format("{}ll", v) : std::to_string(v); }
  std::string binding(const Binding& b) {
    std::string out;
    for (const Digit& d : b.digits) out += (out.empty() ? "" : " + ") + digit(d);
    if (b.offset < 0 && !out.empty()) out += fmt::format(" - {}", literal_text(-b.offset));
    else if (b.offset || out.empty()) out += (out.empty() ? "" : " + ") + literal_text(b.offset);
    return out;
  }

  std::string address(BlockId id, TensorId t, const std::vector<Expr>& index) {
    const Address a = address_of(p_, id, t, index);
    std::string out = binding(a.linear);
    if (out == literal_text(0)) out.clear();
    const auto add = [&](const std::string& term) { out += (out.empty() ? "" : " + ") + term; };
    for (const Address::Symbolic& s : a.symbolic) add(fmt::format("({}) * {}", binding(s.index), value(s.stride)));
    for (const Address::General& g : a.general) {
      std::string term = value(g.index);
      if (!g.minus.digits.empty()) term = fmt::format("({} - ({}))", term, binding(g.minus));
      if (g.origin) term = fmt::format("({} - ({}))", term, literal_text(g.origin));
      if (g.unit != 1) term = fmt::format("({} / {})", term, literal_text(g.unit));
      if (g.count) term = fmt::format("({} % {})", term, literal_text(g.count));
      if (const auto c = constant_of(g.stride); !c || *c != 1) term = fmt::format("{} * {}", term, value(g.stride));
      add(term);
    }
    if (a.slot) {
      if (a.slot->loop) add(fmt::format("({}{}) % {} * {}", loop_var(*a.slot->loop), a.slot->ahead ? fmt::format(" + {}", a.slot->ahead) : "", a.slot->slots, a.slot->elements));
    }
    return out.empty() ? "0" : out;
  }
  std::string element(BlockId id, TensorId t, const std::vector<Expr>& index) {
    if (p_[t].by_value) return buffer_names_[t];
    return fmt::format("{}[{}]", buffer_names_[t], address(id, t, index));
  }

  static bool nonnegative(const std::optional<Interval>& r) { return r && r->low >= 0; }

  std::string value(const Expr& e) {
    if (const auto found = lanes_.find(&*e); found != lanes_.end()) return found->second;
    const DType type = e->type;
    return match(
        e, [&](const Literal& l) -> std::string { return literal_value(l, type); },
        [&](const Var& v) -> std::string { return variable(v.id); },
        [&](const Unary& u) -> std::string { return unary(u, type); },
        [&](const Binary& b) -> std::string { return binary(b, type); },
        [&](const Select& s) -> std::string { return fmt::format("({} ? {} : {})", value(s.condition), value(s.then), value(s.otherwise)); },
        [&](const Cast& c) -> std::string { return cast(value(c.a), c.a->type, c.to.concrete()); },  // tf32(x) is typed f32
        [&](const Read& r) -> std::string {
          std::string text = element(block_, r.tensor, r.index);
          if (p_[r.tensor].type == DType::boolean) text = fmt::format("({} != 0)", text);
          if (!r.otherwise) return text;
          std::string condition;
          for (const Expr& c : in_bounds(p_, p_.block(block_), r)) condition += (condition.empty() ? "" : " && ") + value(c);
          return condition.empty() ? text : fmt::format("({} ? {} : {})", condition, text, value(r.otherwise));
        },
        [&](const Reduce&) -> std::string { return "0"; });
  }

  std::string variable(VarId v) {
    if (p_.dims.count(v)) return identifier(p_.vars[v].name);
    if (iter_of(p_.block(block_), v)) return "v_" + identifier(p_.vars[v].name);
    return identifier(names_.var(v));  // a loop, in the extent of a ragged one
  }

  std::string literal_value(const Literal& l, DType type) {
    if (type == DType::boolean) return l.integer ? "true" : "false";
    if (!is_float(type)) return type == DType::i64 ? literal_text(l.integer) : fmt::format("(({}){})", memory_type(type), l.integer);
    const double v = l.decimal ? l.real : l.real != 0 ? l.real : static_cast<double>(l.integer);
    if (is_narrow_float(type)) return fmt::format("{}{{{:#x}}}", memory_type(type), encode(v, type));
    return float_text(v, type);
  }

  std::string unary(const Unary& u, DType type) {
    const DType operand = u.a->type;
    const FunctionText* f = std::find_if(std::begin(functions), std::end(functions), [&](const FunctionText& t) { return t.op == u.op; });
    std::string a = value(u.a);
    if (is_narrow_float(operand) || operand == DType::tf32) return cast(fmt::format(fmt::runtime(f->f32), fmt::format("tecc_to_f32({})", a)), DType::f32, type);
    const std::string_view text = operand == DType::f64 ? f->f64 : is_float(operand) ? f->f32 : f->integer;
    if (text.empty()) why_ = refuse(Code::no_lowering, "CUDA", fmt::format("{} of {}", symbol(u.op), name(operand)));
    if (u.op == UnOp::neg || u.op == UnOp::logical_not) a = "(" + a + ")";
    const std::string out = "(" + fmt::format(fmt::runtime(text), a) + ")";
    return is_integer(type) && bytes_of(type) < 4 ? fmt::format("(({}){})", memory_type(type), out) : out;
  }

  std::string binary(const Binary& b, DType type) {
    std::string x = value(b.a), y = value(b.b);
    const DType operand = b.a->type;
    if (is_narrow_float(operand)) x = fmt::format("tecc_to_f32({})", x), y = fmt::format("tecc_to_f32({})", y);
    std::string out;
    if (b.op == BinOp::pow) {
      out = operand == DType::f64 ? fmt::format("pow({}, {})", x, y) : fmt::format("powf({}, {})", x, y);
    } else if (b.op == BinOp::mod || (b.op == BinOp::div && !is_float(operand))) {
      if (is_float(operand)) {
        out = fmt::format("({0} - floorf({0} / {1}) * {1})", x, y);
      } else {
        const Block* block = p_.stmts.has(block_) && p_[block_].as<Block>() ? &p_.block(block_) : nullptr;
        const bool plain = operand == DType::i64 && nonnegative(range_of(p_, block, b.a)) && nonnegative(range_of(p_, block, b.b));
        if (plain) out = fmt::format("({} {} {})", x, b.op == BinOp::div ? "/" : "%", y);
        else out = fmt::format("tecc_floor_{}<{}>({}, {})", b.op == BinOp::div ? "div" : "mod", operand == DType::i64 ? index_type() : std::string(memory_type(operand)), x, y);
      }
    } else if (b.op == BinOp::min || b.op == BinOp::max) {
      const std::string t = is_narrow_float(operand) ? "float" : operand == DType::i64 ? index_type() : std::string(memory_type(operand));
      out = fmt::format("{}<{}>({}, {})", b.op == BinOp::min ? "tecc_min" : "tecc_max", t, x, y);
    } else {
      const OperatorText* o = std::find_if(std::begin(operators), std::end(operators), [&](const OperatorText& t) { return t.op == b.op; });
      if (operand == DType::i32 && type == DType::i32) x = "(unsigned)" + x, y = "(unsigned)" + y;  // wraps
      out = fmt::format(fmt::runtime(o->text), x, y);
    }
    if (is_narrow_float(type)) return cast(out, DType::f32, type);
    if (is_integer(type) && type != DType::i64) return fmt::format("(({}){})", memory_type(type), out);
    return out;
  }

  std::string cast(const std::string& a, DType from, DType to) {
    if (from == to) return a;
    const std::string_view name = types[static_cast<int>(to)].memory;
    if (to == DType::boolean) return is_narrow_float(from) ? fmt::format("(tecc_to_f32({}) != 0.0f)", a) : fmt::format("({} != 0)", a);
    if (is_float(to)) {
      if (to == DType::f64) return is_narrow_float(from) ? fmt::format("((double)tecc_to_f32({}))", a) : fmt::format("((double)({}))", a);
      const std::string as_f32 = is_narrow_float(from) || from == DType::tf32 ? fmt::format("tecc_to_f32({})", a) : from == DType::f32 ? a : fmt::format("((float)({}))", a);
      if (to == DType::f32) return as_f32;
      return fmt::format("{}({})", types[static_cast<int>(to)].cast, as_f32);
    }
    if (is_float(from)) return fmt::format("{}({})", types[static_cast<int>(to)].cast, is_narrow_float(from) ? fmt::format("tecc_to_f32({})", a) : a);
    return to == DType::i64 ? fmt::format("(({})({}))", wide_ ? "long long" : "int", a) : fmt::format("(({})({}))", name, a);
  }
};

}  // namespace

Result<Module> emit(const Program& p) {
  Module module;
  module.source = std::string(prelude);
  for (std::size_t n = 0; n < p.kernels.size(); ++n) {
    const std::string name = identifier(p.name) + (p.kernels.size() == 1 ? "" : fmt::format("_{}", n));
    TECC_TRY(Kernel k, KernelEmitter(p, p.kernels[n], name).run(module.source));
    module.kernels.push_back(std::move(k));
  }
  return module;
}

}  // namespace tecc::codegen::cuda
