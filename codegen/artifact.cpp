#include "codegen/artifact.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace tecc {
namespace {

template <class... F> struct Match : F... { using F::operator()...; };
template <class... F> Match(F...) -> Match<F...>;

/// Collects the first thing wrong with a contract.
class Verifier {
 public:
  explicit Verifier(const Contract& c) : c_(c) {}

  Check run() {
    check_names();
    for (const ContractDim& d : c_.dims) {
      wrong_unless(!d.value || *d.value >= 0, fmt::format("dim '{}' is negative", d.name));
      wrong_unless(d.min <= d.max && d.multiple_of >= 1, fmt::format("dim '{}' has an empty range", d.name));
    }
    for (const std::string& f : c_.constraints) formula(f);
    for (const ContractBuffer& b : c_.buffers) check(b);
    wrong_unless(!c_.variants.empty(), "it has no variant");
    for (const Variant& v : c_.variants) check(v);
    if (!why_.empty()) return refuse(Code::contract_bad, c_.name, why_);
    return Ok{};
  }

 private:
  void wrong_unless(bool holds, std::string why) {
    if (!holds && why_.empty()) why_ = std::move(why);
  }

  void check_names() {
    std::set<std::string> seen = {"sm_count"};
    const auto add = [&](const std::string& name) {
      const bool word =
          !name.empty() && (std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_') &&
          std::all_of(name.begin(), name.end(), [](unsigned char ch) { return std::isalnum(ch) || ch == '_'; });
      wrong_unless(word, fmt::format("'{}' is not a name", name));
      wrong_unless(seen.insert(name).second, fmt::format("the name '{}' stands twice", name));
    };
    add(c_.name);
    seen.erase(c_.name);  // a kernel may be called as one of its buffers
    for (const ContractDim& d : c_.dims) add(d.name);
    for (const ContractBuffer& b : c_.buffers) add(b.name);
  }

  void formula(const std::string& text) {
    const Result<Formula> f = Formula::parse(text);
    if (!f) return wrong_unless(false, fmt::format("'{}' is not a formula", text));
    for (const std::string& n : f->names())
      wrong_unless(n == "sm_count" || c_.find_dim(n), fmt::format("formula '{}' reads '{}', which is no dim", text, n));
  }
  void file(const std::string& path) {  // inside the JSON file's folder: a foreign contract must not reach elsewhere
    const bool inside = !path.empty() && path[0] != '/' && path.find("..") == std::string::npos;
    wrong_unless(inside, fmt::format("file '{}' is not inside the folder of the contract", path));
  }
  void buffer(const std::string& name) {
    const ContractBuffer* b = c_.find_buffer(name);
    wrong_unless(b && b->role != Role::scalar, fmt::format("there is no buffer '{}'", name));
  }

  void check(const ContractBuffer& b) {
    for (const std::string& f : b.shape) formula(f);
    for (const std::string& f : b.strides) formula(f);
    wrong_unless(b.shape.size() == b.strides.size(), fmt::format("shape and strides of '{}' differ in rank", b.name));
    wrong_unless(b.align >= 1 && (b.align & (b.align - 1)) == 0,
                 fmt::format("align of '{}' is no power of two", b.name));
    wrong_unless(b.dtype || b.role == Role::workspace, fmt::format("buffer '{}' has no dtype", b.name));
    if (b.role == Role::workspace || b.role == Role::constant) formula(b.bytes);
    if (b.role == Role::constant) {
      formula(b.offset);
      file(b.file.value_or(""));
    }
    if (b.may_alias) buffer(*b.may_alias);
  }

  void check(const Variant& v) {
    for (const auto* rows : {&v.when.multiple_of, &v.when.min, &v.when.max})
      for (const auto& [name, value] : *rows)
        wrong_unless(c_.find_dim(name), fmt::format("'when' names '{}', no dim", name));
    for (const auto& [name, value] : v.when.multiple_of) wrong_unless(value >= 1, "'when' has a divisor below 1");
    for (const auto& [name, value] : v.when.align) {
      buffer(name);
      wrong_unless(value >= 1, "'when' has an alignment below 1");
    }
    wrong_unless(!v.launches.empty(), "a variant has no launch");
    const bool cuda = std::holds_alternative<CudaIsa>(v.target);
    if (cuda) {
      const std::string& arch = std::get<CudaIsa>(v.target).arch;
      wrong_unless(arch.size() >= 5 && arch.starts_with("sm_") && std::isdigit(static_cast<unsigned char>(arch[3])),
                   fmt::format("'{}' is not an architecture", arch));
    }
    for (const auto* launches : {&v.once, &v.launches})
      for (const Launch& l : *launches) {
        wrong_unless(cuda == std::holds_alternative<CudaLaunch>(l), "a launch is of another kind than its target");
        std::visit([&](const auto& x) { check(x); }, l);
      }
  }
  void check(const CpuLaunch& l) {
    file(l.object);
    formula(l.tasks);
  }
  void check(const CudaLaunch& l) {
    file(l.image);
    if (l.ptx) file(*l.ptx);
    for (const std::string& f : l.grid) formula(f);
    for (const auto* sizes : {&l.block, &l.cluster})
      for (const std::int64_t n : *sizes) wrong_unless(n >= 1, fmt::format("kernel '{}' has an empty block", l.kernel));
    wrong_unless(l.shared_bytes >= 0, fmt::format("kernel '{}' has negative shared memory", l.kernel));
    for (const LaunchArg& a : l.args) std::visit([&](const auto& x) { check(x); }, a);
  }
  void check(const BufferArg& a) {
    buffer(a.buffer);
    formula(a.offset_bytes);
  }
  void check(const TensorMapArg& a) {
    buffer(a.buffer);
    formula(a.offset_bytes);
    const std::size_t rank = a.dims.size();
    wrong_unless(rank >= 1 && rank <= 5 && a.strides_bytes.size() + 1 == rank && a.box.size() == rank &&
                     a.element_strides.size() == rank,
                 fmt::format("the tensor map of '{}' has ranks that do not fit", a.buffer));
    for (const std::string& f : a.dims) formula(f);
    for (const std::string& f : a.strides_bytes) formula(f);
    word(a.interleave, {"none", "16B", "32B"});
    word(a.swizzle, {"none", "32B", "64B", "128B"});
    word(a.l2_promotion, {"none", "64B", "128B", "256B"});
    word(a.oob_fill, {"zero", "nan"});
  }
  void check(const ScalarArg& a) {
    const bool typed = a.type == DType::i32 || a.type == DType::i64 || a.type == DType::f32 || a.type == DType::f64;
    wrong_unless(typed, fmt::format("a scalar argument has type {}", name(a.type)));
    const auto* text = std::get_if<std::string>(&a.value);
    if (!text) return;
    if (const ContractBuffer* b = c_.find_buffer(*text); b && b->role == Role::scalar) return;
    formula(*text);
  }
  void word(const std::string& given, std::initializer_list<const char*> known) {
    wrong_unless(std::find(known.begin(), known.end(), given) != known.end(),
                 fmt::format("'{}' means nothing in a tensor map", given));
  }

  const Contract& c_;
  std::string why_;
};

/// Why `when` does not hold; empty when it does.
std::string unmet(const Contract& c, const Variant::When& w, const Env& env, Addresses addresses) {
  const auto value = [&](const std::string& dim) { return env.find(dim) == env.end() ? 0 : env.find(dim)->second; };
  for (const auto& [dim, n] : w.multiple_of)
    if (value(dim) % n != 0) return fmt::format("{} must be a multiple of {}", dim, n);
  for (const auto& [dim, n] : w.min)
    if (value(dim) < n) return fmt::format("{} must be at least {}", dim, n);
  for (const auto& [dim, n] : w.max)
    if (value(dim) > n) return fmt::format("{} must be at most {}", dim, n);
  for (const auto& [buffer, n] : w.align)
    for (std::size_t i = 0; i < c.buffers.size() && i < addresses.size(); ++i)
      if (c.buffers[i].name == buffer && addresses[i] % static_cast<std::uint64_t>(n) != 0)
        return fmt::format("{} must be {}-byte aligned", buffer, n);
  return {};
}

}  // namespace

std::string_view name(Role role) {
  constexpr std::string_view names[] = {"input", "inout", "output", "constant", "scalar", "workspace"};
  return names[static_cast<int>(role)];
}

const ContractBuffer* Contract::find_buffer(std::string_view wanted) const {
  for (const ContractBuffer& b : buffers)
    if (b.name == wanted) return &b;
  return nullptr;
}

const ContractDim* Contract::find_dim(std::string_view wanted) const {
  for (const ContractDim& d : dims)
    if (d.name == wanted) return &d;
  return nullptr;
}

std::string range_text(const ContractDim& d) {
  std::string out = d.max == std::numeric_limits<std::int64_t>::max() ? fmt::format("{} or more", d.min)
                                                                      : fmt::format("{}..{}", d.min, d.max);
  if (d.multiple_of != 1) out += fmt::format(" in steps of {}", d.multiple_of);
  return out;
}

TensorMapCodes codes(const TensorMapArg& map) {
  const auto place = [](const std::string& word, std::initializer_list<const char*> words) {
    return static_cast<int>(std::find(words.begin(), words.end(), word) - words.begin());
  };
  const auto type = [&] {
    switch (map.dtype) {
      case DType::boolean:
      case DType::i8:
      case DType::u8:
      case DType::e4m3:
      case DType::e5m2:
        return 0;  // UINT8
      case DType::i16:
        return 1;  // UINT16
      case DType::i32:
        return 3;
      case DType::i64:
        return 5;
      case DType::f16:
        return 6;
      case DType::f32:
        return 7;
      case DType::f64:
        return 8;
      case DType::bf16:
        return 9;
      case DType::tf32:
        return 11;
    }
    return 0;
  };
  return {type(), place(map.interleave, {"none", "16B", "32B"}), place(map.swizzle, {"none", "32B", "64B", "128B"}),
          place(map.l2_promotion, {"none", "64B", "128B", "256B"}), place(map.oob_fill, {"zero", "nan"})};
}

std::string size_formula(const Contract& c, const ContractBuffer& b) {
  if (b.role == Role::workspace || b.role == Role::constant) return b.bytes;
  if (!b.dtype || b.role == Role::scalar) return "0";
  std::string last, empty;
  for (std::size_t i = 0; i < b.shape.size(); ++i) {
    last += fmt::format("({}-1)*({})+", b.shape[i], b.strides[i]);
    const ContractDim* dim = c.find_dim(b.shape[i]);
    if (!dim || (dim->value ? *dim->value : dim->min) < 1) empty += fmt::format("*min(1,{})", b.shape[i]);
  }
  return fmt::format("{}*({}1){}", bytes_of(*b.dtype), last, empty);
}

Check verify(const Contract& contract) { return Verifier(contract).run(); }

Result<Env> bind_dims(const Contract& c, const Env& given) {
  Env env;
  if (const auto sm = given.find("sm_count"); sm != given.end()) env.insert(*sm);
  for (const ContractDim& d : c.dims) {
    const auto found = given.find(d.name);
    if (d.value) {
      if (found != given.end() && found->second != *d.value)
        return refuse(Code::dim_outside, d.name, std::to_string(found->second), c.name,
                      std::to_string(*d.value) + " only");
      env[d.name] = *d.value;
      continue;
    }
    if (found == given.end()) return refuse(Code::dim_outside, d.name, "not given", c.name, range_text(d));
    const std::int64_t v = found->second;
    if (v < d.min || v > d.max || v % d.multiple_of != 0)
      return refuse(Code::dim_outside, d.name, std::to_string(v), c.name, range_text(d));
    env[d.name] = v;
  }
  for (const std::string& f : c.constraints) {
    TECC_TRY(const std::int64_t rest, evaluate(f, env));
    if (rest != 0) return refuse(Code::constraint_broken, f, c.name, rest);
  }
  return env;
}

ImageFit image_fit(const CudaIsa& isa, CudaTarget device) {
  if (!isa.arch.starts_with("sm_")) return ImageFit::none;
  int number = 0;
  const char* end = isa.arch.data() + isa.arch.size();
  const auto [stop, error] = std::from_chars(isa.arch.data() + 3, end, number);
  if (error != std::errc{}) return ImageFit::none;
  const std::string_view suffix(stop, static_cast<std::size_t>(end - stop));
  const int major = number / 10, minor = number % 10;
  if (suffix == "a") return major == device.major && minor == device.minor ? ImageFit::cubin : ImageFit::none;
  if (!suffix.empty() && suffix != "f") return ImageFit::none;
  if (major == device.major && minor <= device.minor) return ImageFit::cubin;
  return suffix.empty() && isa.forward_compatible && major < device.major ? ImageFit::ptx : ImageFit::none;
}

Result<const Variant*> select_variant(const Contract& c, const DeviceTarget& device, const Env& env,
                                      Addresses addresses) {
  const auto* gpu = std::get_if<CudaTarget>(&device);
  const std::string device_name = gpu ? fmt::format("sm_{}{}", gpu->major, gpu->minor) : "the CPU";
  std::string reasons, archs;
  bool only_arch = gpu != nullptr;  // every CUDA variant is for another chip
  for (const Variant& v : c.variants) {
    const std::string fits =
        std::visit(Match{[&](const CudaIsa& isa) -> std::string {
                           if (!gpu) return "a variant is for " + isa.arch;
                           if (image_fit(isa, *gpu) != ImageFit::none) return {};
                           if (archs.find(isa.arch) == std::string::npos)
                             archs += (archs.empty() ? "" : ", ") + isa.arch;
                           return "a variant is for " + isa.arch;
                         },
                         [&](const CpuIsa& isa) -> std::string {
                           const auto* cpu = std::get_if<CpuTarget>(&device);
                           if (!cpu) return "a variant is for the CPU";
                           return cpu->triple.empty() || isa.triple.empty() || cpu->triple == isa.triple
                                      ? std::string()
                                      : "a variant is for " + isa.triple;
                         }},
                   v.target);
    std::string why = fits;
    if (why.empty()) {
      only_arch = false;
      why = unmet(c, v.when, env, addresses);
      if (why.empty()) return &v;
    }
    reasons += (reasons.empty() ? "" : "; ") + why;
  }
  if (only_arch && !archs.empty()) return refuse(Code::image_arch, c.name, archs, device_name);
  return refuse(Code::no_variant, c.name, fmt::format("{} ({})", device_name, reasons));
}

}  // namespace tecc
