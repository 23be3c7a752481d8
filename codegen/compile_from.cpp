#include "codegen/compile_from.h"

#include <fmt/format.h>

#include <algorithm>

namespace tecc::codegen {
namespace {

constexpr std::string_view tail = "// contract: ";

/// "A: bf16[4096, 4096] align 16, .."
std::string signature(const loop::Program& p) {
  const Names names = names_of(p);
  std::string out;
  for (const auto* list : {&p.inputs, &p.outputs}) {
    out += list == &p.inputs ? "takes" : "; gives";
    for (TensorId t : *list) {
      const loop::Buffer& b = p[t];
      out += fmt::format(" {}: {}[", b.name, name(b.type));
      for (std::size_t d = 0; d < b.shape.size(); ++d) out += (d ? ", " : "") + tecc::print(b.shape[d], names);
      out += b.by_value ? "] by value" : fmt::format("] align {}", b.alignment);
    }
  }
  for (const auto& [v, r] : p.dims) out += fmt::format("; {} = {}..{}:{}", p.vars[v].name, r.min, r.max, r.multiple_of);
  return out;
}

}  // namespace

std::string print(const CudaText& cuda) {
  std::string line;  // the contract's lines, joined: its strings hold no line ends
  bool indent = false;
  for (const char c : to_json(cuda.contract)) {
    if (c == '\n') indent = true;
    else if (!indent || c != ' ') indent = false, line += c;
  }
  return fmt::format("{}{}{}\n", cuda.text, tail, line);
}

bool is_cuda(const Source& source) {
  return std::string_view(source.name).ends_with(".cu") || source.text.starts_with(tail) || source.text.find("\n" + std::string(tail)) != std::string::npos;
}

Result<CudaText> parse_cuda(const Source& source) {
  const std::size_t at = source.text.starts_with(tail) ? 0 : source.text.rfind("\n" + std::string(tail)) + 1;
  if (at == 0 && !source.text.starts_with(tail))
    return refuse(Code::no_stage, source.name, fmt::format("CUDA text needs a last line '{}..', as --dump-ir writes it: how its kernels are launched", tail));
  const std::string_view line = std::string_view(source.text).substr(at + tail.size());
  TECC_TRY(Contract c, parse_contract(line.substr(0, line.find('\n')), source.name));
  TECC_CHECK(verify(c));
  if (c.variants.size() != 1 || !std::holds_alternative<CudaIsa>(c.variants[0].target)) return refuse(Code::no_stage, source.name, "its contract is not that of one GPU");
  return CudaText{source.text.substr(0, at), std::move(c)};
}

Check belongs(const loop::Program& p, const Workload& w, const Source& source) {
  if (p.name != w.naive.name) return refuse(Code::other_expression, source.name, fmt::format("it is called '{}', the INPUT '{}'", p.name, w.naive.name));
  const std::string have = signature(p), want = signature(w.naive);
  if (have != want) return refuse(Code::other_expression, source.name, fmt::format("it {}; the INPUT {}", have, want));
  return Ok{};
}

Check belongs(const Contract& c, const Contract& wanted, const std::string& arch, const Source& source) {
  const auto no = [&](const std::string& what) { return refuse(Code::other_expression, source.name, what); };
  if (c.name != wanted.name) return no(fmt::format("it is called '{}', the INPUT '{}'", c.name, wanted.name));
  for (const ContractDim& d : wanted.dims) {
    const ContractDim* have = c.find_dim(d.name);
    if (!have || !(*have == d)) return no(fmt::format("dim '{}' is not the INPUT's", d.name));
  }
  if (c.dims.size() != wanted.dims.size() || c.types != wanted.types) return no("its dims or types are not the INPUT's");
  std::vector<ContractBuffer> have = c.buffers, want = wanted.buffers;
  for (auto* list : {&have, &want}) std::erase_if(*list, [](const ContractBuffer& b) { return b.role == Role::workspace; });
  if (have != want) return no("its tensors are not the INPUT's");
  if (const std::string& other = std::get<CudaIsa>(c.variants[0].target).arch; other != arch) return no(fmt::format("its kernels are for {}, not for {}", other, arch));
  return Ok{};
}

}  // namespace tecc::codegen
