// The launch contract as JSON. Writing fixes the order of fields by the order of the calls below; reading is strict about
// what is needed and ignores what it does not know.
#include <fmt/format.h>

#include "codegen/artifact.h"
#include "ir/base/files.h"
#include "ir/base/json.h"

namespace tecc {
namespace {

using Json = nlohmann::ordered_json;

/// Thrown and caught inside parse_contract only: the JSON library throws too, and both end as one E0610.
struct Unusable {
  std::string why;
};

template <class T> Json or_null(const std::optional<T>& value) { return value ? Json(*value) : Json(nullptr); }

Json pairs(const std::vector<std::pair<std::string, std::int64_t>>& rows) {
  Json out = Json::object();
  for (const auto& [key, value] : rows) out[key] = value;
  return out;
}

// ---- writing ----

Json write(const ContractDim& d) {
  if (d.value) return {{"value", *d.value}};
  Json out = {{"min", d.min}};
  if (d.max != std::numeric_limits<std::int64_t>::max()) out["max"] = d.max;
  if (d.multiple_of != 1) out["multiple_of"] = d.multiple_of;
  return out;
}

Json write(const ContractBuffer& b) {
  Json out = {{"name", b.name}, {"role", name(b.role)}};
  if (b.dtype) out["dtype"] = name(*b.dtype);
  if (b.role == Role::scalar) return out;
  if (b.role != Role::workspace) {
    out["shape"] = b.shape;
    out["strides"] = b.strides;
  } else {
    out["bytes"] = b.bytes;
  }
  out["align"] = b.align;
  if (b.may_alias) out["may_alias"] = *b.may_alias;
  if (b.role == Role::constant) {
    out["file"] = or_null(b.file);
    out["offset"] = b.offset;
    out["bytes"] = b.bytes;
    if (b.sha256) out["sha256"] = *b.sha256;
  }
  if (b.role == Role::workspace) {
    out["zero_before"] = b.zero_before;
    out["zero_after"] = b.zero_after;
  }
  return out;
}

Json write(const BufferArg& a) { return {{"kind", "buffer"}, {"buffer", a.buffer}, {"offset_bytes", a.offset_bytes}}; }

Json write(const TensorMapArg& a) {
  return {{"kind", "tensor_map"},
          {"mode", "tiled"},
          {"buffer", a.buffer},
          {"offset_bytes", a.offset_bytes},
          {"dtype", name(a.dtype)},
          {"dims", a.dims},
          {"strides_bytes", a.strides_bytes},
          {"box", a.box},
          {"element_strides", a.element_strides},
          {"interleave", a.interleave},
          {"swizzle", a.swizzle},
          {"l2_promotion", a.l2_promotion},
          {"oob_fill", a.oob_fill}};
}

Json write(const ScalarArg& a) {
  Json out = {{"kind", "scalar"}, {"type", name(a.type)}};
  std::visit([&](const auto& v) { out["value"] = v; }, a.value);
  return out;
}

Json write(const CudaLaunch& l) {
  Json args = Json::array();
  for (const LaunchArg& a : l.args) args.push_back(std::visit([](const auto& x) { return write(x); }, a));
  Json out = {{"kernel", l.kernel}, {"image", l.image}};
  if (l.ptx) out["ptx"] = *l.ptx;
  out["grid"] = l.grid;
  out["block"] = l.block;
  out["cluster"] = l.cluster;
  out["shared_bytes"] = l.shared_bytes;
  out["cooperative"] = l.cooperative;
  out["programmatic_dependent"] = l.programmatic_dependent;
  out["args"] = std::move(args);
  return out;
}

Json write(const CpuLaunch& l) { return {{"object", l.object}, {"symbol", l.symbol}, {"tasks", l.tasks}}; }

Json write(const std::vector<Launch>& launches) {
  Json out = Json::array();
  for (const Launch& l : launches) out.push_back(std::visit([](const auto& x) { return write(x); }, l));
  return out;
}

Json write(const CudaIsa& t) {
  return {{"kind", "cuda"}, {"arch", t.arch}, {"forward_compatible", t.forward_compatible}};
}
Json write(const CpuIsa& t) { return {{"kind", "cpu"}, {"triple", t.triple}, {"features", t.features}}; }

Json write(const Variant::When& w) {
  Json out = Json::object();
  if (!w.multiple_of.empty()) out["multiple_of"] = pairs(w.multiple_of);
  if (!w.min.empty()) out["min"] = pairs(w.min);
  if (!w.max.empty()) out["max"] = pairs(w.max);
  if (!w.align.empty()) out["align"] = pairs(w.align);
  return out;
}

// ---- reading ----

const Json& need(const Json& from, const char* key) {
  const auto found = from.find(key);
  if (found == from.end()) throw Unusable{fmt::format("'{}' is missing", key)};
  return *found;
}

template <class T> void get(const Json& from, const char* key, T& into) {
  if (const auto found = from.find(key); found != from.end() && !found->is_null()) into = exactly<T>(*found);
}
template <class T> void get(const Json& from, const char* key, std::optional<T>& into) {
  if (const auto found = from.find(key); found != from.end() && !found->is_null()) into = exactly<T>(*found);
}

/// A formula may be written as a plain integer.
std::string formula(const Json& from) {
  if (from.is_number_integer()) return std::to_string(exactly<std::int64_t>(from));
  return from.get<std::string>();
}
void get_formula(const Json& from, const char* key, std::string& into) {
  if (const auto found = from.find(key); found != from.end()) into = formula(*found);
}
std::vector<std::string> formulas(const Json& from) {
  std::vector<std::string> out;
  for (const Json& f : from) out.push_back(formula(f));
  return out;
}

DType read_type(const Json& from) {
  const auto type = parse_type(from.get<std::string>());
  if (!type) throw Unusable{fmt::format("there is no dtype '{}'", from.get<std::string>())};
  return *type;
}

void read_pairs(const Json& from, const char* key, std::vector<std::pair<std::string, std::int64_t>>& into) {
  if (!from.contains(key)) return;
  for (const auto& [name, value] : from[key].items()) into.emplace_back(name, exactly<std::int64_t>(value));
}

ContractDim read_dim(const std::string& name, const Json& from) {
  ContractDim d{name, {}};
  get(from, "value", d.value);
  get(from, "min", d.min);
  get(from, "max", d.max);
  get(from, "multiple_of", d.multiple_of);
  return d;
}

ContractBuffer read_buffer(const Json& from) {
  ContractBuffer b;
  b.name = need(from, "name").get<std::string>();
  const std::string role = need(from, "role").get<std::string>();
  bool known = false;
  for (const Role r : {Role::input, Role::inout, Role::output, Role::constant, Role::scalar, Role::workspace})
    if (name(r) == role) b.role = r, known = true;
  if (!known) throw Unusable{fmt::format("buffer '{}' has the unknown role '{}'", b.name, role)};
  if (b.role != Role::workspace) b.dtype = read_type(need(from, "dtype"));
  if (b.role != Role::workspace && b.role != Role::scalar) {
    b.shape = formulas(need(from, "shape"));
    b.strides = formulas(need(from, "strides"));
  }
  if (b.role == Role::workspace || b.role == Role::constant) b.bytes = formula(need(from, "bytes"));
  get(from, "align", b.align);
  get(from, "may_alias", b.may_alias);
  get(from, "file", b.file);
  get(from, "sha256", b.sha256);
  get_formula(from, "offset", b.offset);
  get(from, "zero_before", b.zero_before);
  get(from, "zero_after", b.zero_after);
  return b;
}

LaunchArg read_arg(const Json& from) {
  const std::string kind = need(from, "kind").get<std::string>();
  if (kind == "scalar") {
    ScalarArg a{read_type(need(from, "type")), {}};
    const Json& value = need(from, "value");
    if (value.is_number_integer()) a.value = exactly<std::int64_t>(value);
    else if (value.is_number()) a.value = value.get<double>();
    else a.value = value.get<std::string>();
    return a;
  }
  const std::string buffer = need(from, "buffer").get<std::string>();
  if (kind == "buffer") {
    BufferArg a{buffer, "0"};
    get_formula(from, "offset_bytes", a.offset_bytes);
    return a;
  }
  if (kind != "tensor_map") throw Unusable{fmt::format("there is no argument kind '{}'", kind)};
  if (const std::string mode = need(from, "mode").get<std::string>(); mode != "tiled")
    throw Unusable{fmt::format("there is no tensor map mode '{}'", mode)};
  TensorMapArg a;
  a.buffer = buffer;
  get_formula(from, "offset_bytes", a.offset_bytes);
  a.dtype = read_type(need(from, "dtype"));
  a.dims = formulas(need(from, "dims"));
  a.strides_bytes = formulas(need(from, "strides_bytes"));
  a.box = all_exactly<std::int64_t>(need(from, "box"));
  a.element_strides = all_exactly<std::int64_t>(need(from, "element_strides"));
  get(from, "interleave", a.interleave);
  get(from, "swizzle", a.swizzle);
  get(from, "l2_promotion", a.l2_promotion);
  get(from, "oob_fill", a.oob_fill);
  return a;
}

template <class T> std::array<T, 3> three(const Json& from, const char* key, T (*read)(const Json&)) {
  const Json& list = need(from, key);
  if (!list.is_array() || list.size() != 3) throw Unusable{fmt::format("'{}' must have three values", key)};
  return {read(list[0]), read(list[1]), read(list[2])};
}

Launch read_launch(const Json& from) {
  if (from.contains("object")) {
    CpuLaunch l{need(from, "object").get<std::string>(), need(from, "symbol").get<std::string>()};
    get_formula(from, "tasks", l.tasks);
    return l;
  }
  const auto integer = +[](const Json& j) { return exactly<std::int64_t>(j); };
  CudaLaunch l;
  l.kernel = need(from, "kernel").get<std::string>();
  l.image = need(from, "image").get<std::string>();
  get(from, "ptx", l.ptx);
  l.grid = three<std::string>(from, "grid", formula);
  l.block = three<std::int64_t>(from, "block", integer);
  if (from.contains("cluster")) l.cluster = three<std::int64_t>(from, "cluster", integer);
  get(from, "shared_bytes", l.shared_bytes);
  get(from, "cooperative", l.cooperative);
  get(from, "programmatic_dependent", l.programmatic_dependent);
  for (const Json& a : need(from, "args")) l.args.push_back(read_arg(a));
  return l;
}

Variant read_variant(const Json& from) {
  Variant v;
  const Json& target = need(from, "target");
  const std::string kind = need(target, "kind").get<std::string>();
  if (kind == "cuda") {
    CudaIsa isa{need(target, "arch").get<std::string>()};
    get(target, "forward_compatible", isa.forward_compatible);
    v.target = isa;
  } else if (kind == "cpu") {
    CpuIsa isa;
    get(target, "triple", isa.triple);
    get(target, "features", isa.features);
    v.target = isa;
  } else {
    throw Unusable{fmt::format("there is no target kind '{}'", kind)};
  }
  if (from.contains("when")) {
    read_pairs(from["when"], "multiple_of", v.when.multiple_of);
    read_pairs(from["when"], "min", v.when.min);
    read_pairs(from["when"], "max", v.when.max);
    read_pairs(from["when"], "align", v.when.align);
  }
  if (from.contains("once"))
    for (const Json& l : from["once"]) v.once.push_back(read_launch(l));
  for (const Json& l : need(from, "launches")) v.launches.push_back(read_launch(l));
  return v;
}

Contract read(const Json& from) {
  if (!from.is_object()) throw Unusable{"it is not a JSON object"};
  if (const Json& version = need(from, "contract"); version != contract_version)
    throw Unusable{fmt::format("it has contract version {}, this tecc reads {}", version.dump(), contract_version)};
  Contract c;
  c.name = need(from, "name").get<std::string>();
  if (from.contains("made_by")) {
    get(from["made_by"], "tecc", c.tecc_version);
    get(from["made_by"], "toolkit", c.toolkit);
  }
  if (from.contains("types"))
    for (const auto& [name, type] : from["types"].items()) c.types.emplace_back(name, read_type(type));
  for (const auto& [name, dim] : need(from, "dims").items()) c.dims.push_back(read_dim(name, dim));
  if (from.contains("constraints")) c.constraints = formulas(from["constraints"]);
  for (const Json& b : need(from, "buffers")) c.buffers.push_back(read_buffer(b));
  for (const Json& v : need(from, "variants")) c.variants.push_back(read_variant(v));
  if (from.contains("numerics")) {
    const Json& n = from["numerics"];
    get(n, "accumulate", c.numerics.accumulate);
    get(n, "rtol", c.numerics.rtol);
    get(n, "atol", c.numerics.atol);
    get(n, "deterministic", c.numerics.deterministic);
    get(n, "verified", c.numerics.verified);
  }
  get(from, "expression", c.expression);
  get(from, "schedule", c.schedule);
  get(from, "record", c.record);
  return c;
}

}  // namespace

std::string to_json(const Contract& c) {
  Json made_by = {{"tecc", c.tecc_version}};
  if (!c.toolkit.empty()) made_by["toolkit"] = c.toolkit;
  Json types = Json::object(), dims = Json::object(), buffers = Json::array(), variants = Json::array();
  for (const auto& [key, type] : c.types) types[key] = name(type);
  for (const ContractDim& d : c.dims) dims[d.name] = write(d);
  for (const ContractBuffer& b : c.buffers) buffers.push_back(write(b));
  for (const Variant& v : c.variants)
    variants.push_back({{"target", std::visit([](const auto& t) { return write(t); }, v.target)},
                        {"when", write(v.when)},
                        {"once", write(v.once)},
                        {"launches", write(v.launches)}});
  const Numerics& n = c.numerics;
  const Json out = {{"contract", contract_version},
                    {"name", c.name},
                    {"made_by", made_by},
                    {"types", types},
                    {"dims", dims},
                    {"constraints", c.constraints},
                    {"buffers", buffers},
                    {"variants", variants},
                    {"numerics",
                     {{"accumulate", n.accumulate},
                      {"rtol", n.rtol},
                      {"atol", n.atol},
                      {"deterministic", n.deterministic},
                      {"verified", n.verified}}},
                    {"expression", or_null(c.expression)},
                    {"schedule", or_null(c.schedule)},
                    {"record", or_null(c.record)}};
  return out.dump(2) + "\n";
}

Result<Contract> parse_contract(std::string_view json, std::string_view file) {
  const auto bad = [&](std::string why) { return refuse(Code::contract_bad, std::string(file), std::move(why)); };
  const auto parsed = parse_json(json);
  if (!parsed) return bad(std::get<std::string>(parsed.error().args[0]));
  try {
    Contract c = read(*parsed);
    if (const Check ok = verify(c); !ok) return bad(std::get<std::string>(ok.error().args[1]));
    return c;
  } catch (const Unusable& u) {
    return bad(u.why);
  } catch (const nlohmann::json::exception& e) {  // its text starts with "[json.exception....] "
    const std::string_view what = e.what();
    return bad(std::string(what.substr(what.find("] ") == std::string_view::npos ? 0 : what.find("] ") + 2)));
  }
}

Result<Contract> read_contract(const std::string& path) {
  TECC_TRY(const std::string text, read_file(path));
  return parse_contract(text, path);
}

}  // namespace tecc
