#include "tests/fuzz/expressions.h"

#include <fmt/format.h>

#include <cmath>

#include "ir/interpret/te.h"

namespace tecc::fuzz {

Random random_of(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u + index * 0xbf58476d1ce4e5b9u;  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return Random(x ^ (x >> 31));
}

namespace {

/// A tensor that later stages may read.
struct Tensor {
  std::string name;
  std::vector<std::string> shape;  // dims, or formulas of them
  bool plain = true;               // values differ clearly: a winner among them does not depend on the order of sums
};

class Stages {
 public:
  explicit Stages(Random& r) : r_(r) {}

  Expression make() {
    constexpr std::int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17};
    for (const char* d : {"M", "N", "K"}) dims_ += fmt::format("{}{}={}", dims_.empty() ? "" : ",", d, sizes[below(r_, std::size(sizes))]);
    for (std::int64_t n = 1 + below(r_, 2); n-- > 0;) input(one_in(r_, 5) ? 1 : 2);
    const std::int64_t stages = 1 + below(r_, 4);
    std::string body;
    for (std::int64_t n = 0; n < stages; ++n) body += "  " + stage() + "\n";
    std::string outputs = made_.back();
    if (made_.size() > 1 && one_in(r_, 3)) outputs += ", " + made_[static_cast<std::size_t>(below(r_, made_.size() - 1))];
    return {fmt::format("kernel fuzzed<T>({}) -> ({}) {{\n{}}}\n", inputs_, outputs, body), trimmed_dims(), one_in(r_, 2) ? "T=f32" : "T=f64", "stages"};
  }

 private:
  Random& r_;
  std::string dims_, inputs_;
  std::vector<Tensor> tensors_;
  std::vector<std::string> made_;
  int inputs_made_ = 0;

  std::string dim() { return one_of<std::string>(r_, {"M", "N", "K"}); }
  /// Only dims that some input has; others have no meaning.
  std::string trimmed_dims() const {
    std::string out;
    for (std::size_t at = 0; at < dims_.size();) {
      const std::size_t end = std::min(dims_.find(',', at), dims_.size());
      const std::string one = dims_.substr(at, end - at);
      if (inputs_.find(std::string("[") + one[0]) != std::string::npos || inputs_.find(std::string(", ") + one[0] + "]") != std::string::npos) out += (out.empty() ? "" : ",") + one;
      at = end + 1;
    }
    return out;
  }
  bool known(const std::string& d) const {
    return std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& t) { return std::find(t.shape.begin(), t.shape.end(), d) != t.shape.end(); });
  }
  const Tensor& input_of(std::vector<std::string> shape) {
    std::string text;
    for (const std::string& d : shape) text += (text.empty() ? "" : ", ") + d;
    const std::string name = fmt::format("X{}", inputs_made_++);
    inputs_ += fmt::format("{}{}: T[{}]", inputs_.empty() ? "" : ", ", name, text);
    tensors_.push_back({name, std::move(shape)});
    return tensors_.back();
  }
  void input(int rank) {
    std::vector<std::string> shape;
    while (static_cast<int>(shape.size()) < rank) shape.push_back(dim());
    input_of(std::move(shape));
  }
  /// The newest tensors are read more often: chains get long.
  Tensor any() { return one_in(r_, 3) ? one_of(r_, tensors_) : tensors_.back(); }
  Tensor matrix() {
    for (int n = 0; n < 4; ++n)
      if (Tensor t = any(); t.shape.size() == 2) return t;
    for (const Tensor& t : tensors_)
      if (t.shape.size() == 2) return t;
    return input_of({dim(), dim()});
  }
  /// Another tensor of this shape, or a new input.
  Tensor like(const std::vector<std::string>& shape) {
    std::vector<Tensor> fits;
    for (const Tensor& t : tensors_)
      if (t.shape == shape) fits.push_back(t);
    return fits.empty() || one_in(r_, 4) ? input_of(shape) : one_of(r_, fits);
  }
  /// A function that keeps values small.
  std::string function(const std::string& x) {
    switch (below(r_, 8)) {
      case 0: return fmt::format("tanh({})", x);
      case 1: return fmt::format("max({}, 0)", x);
      case 2: return fmt::format("({} * 0.5 + 1)", x);
      case 3: return fmt::format("exp(0 - abs({}))", x);
      case 4: return fmt::format("select({} > 0.25, {}, 0.5 - {})", x, x, x);
      default: return x;
    }
  }

  std::string stage() {
    const std::string name = fmt::format("s{}", made_.size());
    const auto done = [&](std::vector<std::string> shape, bool plain, const std::string& text) {
      tensors_.push_back({name, std::move(shape), plain});
      made_.push_back(name);
      return name + text;
    };
    const std::string reducer = one_of<std::string>(r_, {"sum", "sum", "max", "min"});
    switch (below(r_, 16)) {
      case 0: case 1: {  // elementwise, one reader
        const Tensor t = any();
        if (t.shape.size() == 1) return done(t.shape, t.plain, fmt::format("[i: {}] = {}", t.shape[0], function(t.name + "[i]")));
        return done(t.shape, t.plain, fmt::format("[i: {}, j: {}] = {}", t.shape[0], t.shape[1], function(t.name + "[i, j]")));
      }
      case 2: {  // two readers of one shape
        const Tensor t = matrix(), u = like(t.shape);
        return done(t.shape, false, fmt::format("[i: {}, j: {}] = {} {} {}", t.shape[0], t.shape[1], function(t.name + "[i, j]"), one_of<std::string>(r_, {"+", "-", "*"}), function(u.name + "[i, j]")));
      }
      case 3: {  // a row or a column for all
        const Tensor t = matrix();
        const bool row = one_in(r_, 2);
        const Tensor u = like({t.shape[row ? 1 : 0]});
        return done(t.shape, false, fmt::format("[i: {}, j: {}] = {} + {}[{}]", t.shape[0], t.shape[1], function(t.name + "[i, j]"), u.name, row ? "j" : "i"));
      }
      case 4: {  // transposition
        const Tensor t = matrix();
        return done({t.shape[1], t.shape[0]}, t.plain, fmt::format("[j: {}, i: {}] = {}", t.shape[1], t.shape[0], function(t.name + "[i, j]")));
      }
      case 5: case 6: {  // reduction of rows or columns
        const Tensor t = matrix();
        if (one_in(r_, 4)) return done({t.shape[0]}, false, fmt::format("[i: {}] = {}[j: {} / 2 + 1]({})", t.shape[0], reducer, t.shape[1], function(t.name + "[i, j]")));  // of a part of them
        if (one_in(r_, 2)) return done({t.shape[0]}, false, fmt::format("[i: {}] = {}[j: {}]({})", t.shape[0], reducer, t.shape[1], function(t.name + "[i, j]")));
        return done({t.shape[1]}, false, fmt::format("[j: {}] = {}[i: {}]({})", t.shape[1], reducer, t.shape[0], function(t.name + "[i, j]")));
      }
      case 7: case 8: {  // product
        const Tensor t = matrix();
        const std::string n = dim();
        const bool rows = one_in(r_, 2);
        const Tensor u = like(rows ? std::vector<std::string>{n, t.shape[1]} : std::vector<std::string>{t.shape[1], n});
        return done({t.shape[0], n}, false, fmt::format("[i: {}, j: {}] = {}", t.shape[0], n, function(fmt::format("sum[k: {}{}]({}[i, k] * {}[{}])", t.shape[1], one_in(r_, 4) ? " / 2 + 1" : "", t.name, u.name, rows ? "j, k" : "k, j"))));
      }
      case 9: {  // scan, inclusive or exclusive
        const Tensor t = matrix();
        return done(t.shape, false, fmt::format("[i: {}, j: {}] = sum[k: {}]({}[i, k])", t.shape[0], t.shape[1], one_in(r_, 2) ? "j + 1" : "j", t.name));
      }
      case 10: {  // window with else-reads
        const Tensor t = matrix();
        const std::string other = one_of<std::string>(r_, {"0", "1.5"});
        if (one_in(r_, 2)) return done(t.shape, false, fmt::format("[i: {}, j: {}] = ({}[i - 1, j] else {}) + {} * ({}[i, j + 1] else {})", t.shape[0], t.shape[1], t.name, other, function(t.name + "[i, j]"), t.name, other));
        return done(t.shape, false, fmt::format("[p: {}, q: {}] = {}[r: 3, s: 2](({}[p + r - 1, q + s] else {}))", t.shape[0], t.shape[1], reducer, t.name, other));
      }
      case 11: {  // triangle
        const std::string d = dim();
        const Tensor t = like({d, d}), u = like({d, d});
        return done({d}, false, fmt::format("[i: {}] = sum[j: i + 1]({}[i, j] * {}[j, i])", d, t.name, u.name));
      }
      case 12: {  // flattened, and back
        const Tensor t = matrix();
        if (t.shape[0].find_first_of("* /") != std::string::npos) return done(t.shape, t.plain, fmt::format("[i: {}, j: {}] = {}[i, j] + 1", t.shape[0], t.shape[1], t.name));
        return done({t.shape[0], t.shape[1]}, t.plain, fmt::format("[i: {}, j: {}] = {}[(i * {} + j) / {}, (i * {} + j) % {}] * 2", t.shape[0], t.shape[1], t.name, t.shape[1], t.shape[1], t.shape[1], t.shape[1]));
      }
      case 13: {  // masked by position
        const Tensor t = matrix();
        return done(t.shape, false, fmt::format("[i: {}, j: {}] = select(j <= i, {}, {} - 1)", t.shape[0], t.shape[1], function(t.name + "[i, j]"), t.name + "[i, j]"));
      }
      case 14: {  // position of the largest
        for (const Tensor& t : tensors_)
          if (t.plain && t.shape.size() == 2) {
            const Tensor x = t;
            return done({x.shape[0]}, false, fmt::format("[i: {}] = T({}[j: {}]({}[i, j]))", x.shape[0], one_in(r_, 2) ? "argmax" : "argmin", x.shape[1], x.name));
          }
        return stage();
      }
      default: {  // several readers: a value, its row's sum, and both
        const Tensor t = matrix();
        return done(t.shape, false, fmt::format("[i: {}, j: {}] = {} - {}[q: {}]({}[i, q])", t.shape[0], t.shape[1], function(t.name + "[i, j]"), one_of<std::string>(r_, {"max", "min", "sum"}), t.shape[1], t.name));
      }
    }
  }
};

}  // namespace

Expression random_stages(Random& r) { return Stages(r).make(); }

Expression random_product(Random& r) {
  struct Kind {
    const char *type, *cast;
    std::int64_t multiple;  // rows of 16 bytes
  };
  const Kind k = one_of<Kind>(r, {{"bf16", "f32", 8}, {"f16", "f32", 8}, {"f32", "f32(tf32", 4}, {"i8", "i32", 16}, {"e4m3", "f32", 16}});
  const bool tf32 = std::string(k.type) == "f32", integer = std::string(k.type) == "i8";
  const auto size = [&](std::int64_t low, std::int64_t high) { return low + below(r, static_cast<std::size_t>(high - low + 1)); };
  const std::int64_t m = size(64, 136), n = k.multiple * size(2, 64 / k.multiple), depth = k.multiple * size(2, 96 / k.multiple);
  const auto cast = [&](const std::string& x) { return tf32 ? "tf32(" + x + ")" : fmt::format("{}({})", k.cast, x); };
  const std::string value = one_of<std::string>(r, integer ? std::vector<std::string>{"x[i, j] + b[j]", "max(x[i, j], 0)", "x[i, j]"}
                                                          : std::vector<std::string>{"max(x[i, j] + b[j], 0)", "tanh(x[i, j]) + b[j]", "x[i, j] * 0.5", "bf16(x[i, j] + b[j])", "f16(max(x[i, j], 0))"});
  const bool batch = one_in(r, 5);
  std::string text = fmt::format("kernel fuzzed(A: {0}[{2}M, K], B: {0}[{2}N, K], b: {1}[N]) -> (C) {{\n  x[{3}i: M, j: N] = sum[k: K]({4} * {5})\n  C[{3}i: M, j: N] = {6}\n}}\n", k.type,
                                 integer ? "i32" : "f32", batch ? "H, " : "", batch ? "h: H, " : "", cast(batch ? "A[h, i, k]" : "A[i, k]"), cast(batch ? "B[h, j, k]" : "B[j, k]"), value);
  if (batch)
    for (std::size_t at = 0; (at = text.find("x[i, j]", at)) != std::string::npos; at += 8) text.replace(at, 7, "x[h, i, j]");
  return {text, fmt::format("{}M={},N={},K={}", batch ? "H=2," : "", m, n, depth), "", "product"};
}

Expression random_cascade(Random& r) {
  const std::int64_t rows = 64 + below(r, 72), d = 16 * (1 + below(r, 3)), l = 16 * (2 + below(r, 5));
  const bool causal = one_in(r, 2);
  const std::string type = one_of<std::string>(r, {"bf16", "f16"}), keys = causal ? "S" : "L", until = causal ? "i + 1" : "L";
  const std::string text = fmt::format(
      "kernel fuzzed(Q: {0}[H, S, D], K: {0}[H, {1}, D], V: {0}[H, {1}, D]) -> (O) {{\n  y[h: H, i: S, j: {2}] = sum[d: D](f32(Q[h, i, d]) * f32(K[h, j, d])) * 0.25\n"
      "  top[h: H, i: S] = max[j: {2}](y[h, i, j])\n  e[h: H, i: S, j: {2}] = exp(y[h, i, j] - top[h, i])\n  total[h: H, i: S] = sum[j: {2}](e[h, i, j])\n"
      "  O[h: H, i: S, d: D] = {0}(sum[j: {2}](f32({0}(e[h, i, j])) * f32(V[h, j, d])) / total[h, i])\n}}\n",
      type, keys, until);
  return {text, fmt::format("H={},S={},{}D={}", one_in(r, 3) ? 2 : 1, rows, causal ? "" : fmt::format("L={},", l), d), "", "cascade"};
}

Result<Case> make_case(Expression e, std::uint64_t seed) {
  const Source source{intern("case.te"), e.text};
  TECC_TRY(const auto kernels, te::parse(source));
  te::Bindings bindings;
  TECC_TRY(bindings.dims, te::parse_dims(e.dims));
  TECC_TRY(bindings.types, te::parse_type_bindings(e.types));
  TECC_TRY(codegen::Workload workload, codegen::make_workload(kernels.at(0), bindings));
  Random random = random_of(seed, 0);
  std::vector<Array> inputs;
  for (TensorId t : workload.naive.inputs) {
    const loop::Buffer& b = workload.naive[t];
    std::vector<std::int64_t> shape;
    for (const Expr& extent : b.shape) shape.push_back(*constant_of(extent));
    Array a(b.type, b.by_value ? std::vector<std::int64_t>{} : shape);
    for (std::int64_t n = 0; n < a.size(); ++n)
      if (is_float(b.type)) a.set(n, std::normal_distribution<double>()(random));
      else if (b.type == DType::boolean) a.set_integer(n, below(random, 2));
      else a.set_integer(n, below(random, 17) - 8);
    inputs.push_back(std::move(a));
  }
  TECC_TRY(std::vector<Array> want, interpret(workload.lifted, {}, inputs));
  return Case{std::move(e), std::move(workload), std::move(inputs), std::move(want)};
}

}  // namespace tecc::fuzz
