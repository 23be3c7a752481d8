#include <exception>
#include <nlohmann/json.hpp>
#include <vector>

#include "compiler/dsl.h"

/// What crosses from a compiled C++ file to the tool: C text, the kernels as they print and the lines that made their parts.
/// This file and what it needs are the library tecc_dsl; the tool reads the text in python_free_cli/compile_input.cpp.
namespace tecc::dsl {
namespace {

struct Function {
  const char* name;
  Result<te::Kernel> (*make)();
};
std::vector<Function>& functions() {
  static std::vector<Function> list;
  return list;
}

using Json = nlohmann::ordered_json;

Json place_of(CallSite at) { return {at.file ? at.file : "", at.line}; }

/// Names are unique in a kernel, so they say which part a line made.
Json places_of(const te::Kernel& k) {
  Json out = Json::object();
  for (const te::Tensor& t : k.tensors) out[t.name] = place_of(t.at);
  for (const te::Stage& s : k.stages) out[k[s.tensor].name] = place_of(s.at);
  for (const te::Variable& v : k.variables)
    if (v.kind == te::VarKind::let) out[v.name] = place_of(v.at);
  return out;
}

Json refusal_of(const Refusal& why) {
  Json out{{"code", static_cast<int>(why.code)}, {"place", place_of(why.at)}, {"args", Json::array()}};
  for (const Refusal::Arg& a : why.args) {
    if (const auto* i = std::get_if<std::int64_t>(&a)) out["args"].push_back(*i);
    else if (const auto* s = std::get_if<std::string>(&a)) out["args"].push_back(*s);
    else out["args"].push_back(nullptr);
  }
  return out;
}

Json called(const Function& f) {
  Json out{{"function", f.name}};
  try {
    if (const Result<te::Kernel> made = f.make()) {
      out["kernel"] = made->name;
      out["text"] = te::print(*made);
      out["place"] = place_of(made->at);
      out["places"] = places_of(*made);
    } else {
      out["refusal"] = refusal_of(made.error());
    }
  } catch (const Refused& e) {
    out["refusal"] = refusal_of(e.why);
  } catch (const std::exception& e) {
    out["threw"] = e.what();
  } catch (...) {
    out["threw"] = "no std::exception";
  }
  return out;
}

}  // namespace

Exported::Exported(const char* function, Result<te::Kernel> (*make)()) { functions().push_back({function, make}); }

}  // namespace tecc::dsl

/// The kernels of this file as JSON.
extern "C" __attribute__((visibility("default"))) const char* tecc_exported_kernels() {
  static const std::string text = [] {
    tecc::dsl::Json all = tecc::dsl::Json::array();
    for (const tecc::dsl::Function& f : tecc::dsl::functions()) all.push_back(tecc::dsl::called(f));
    return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }();
  return text.c_str();
}
