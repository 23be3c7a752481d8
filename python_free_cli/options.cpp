#include "python_free_cli/options.h"

#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/cuda/driver.h"

namespace tecc::cli {

void add_input(CLI::App& app, Input& in, bool with_target) {
  app.add_option("input", in.path, "an expression: op.te, or op.cpp, which the host compiler builds");
  app.add_option("-e,--expression", in.text, "the expression itself: 'kernel …'");
  app.add_option("--kernel", in.kernel, "which kernel of a file with several");
  app.add_option("--dims", in.dims, "M=4096,N=1..65536:8 (a range is a runtime dim)");
  app.add_option("--types", in.types, "T=bf16");
  app.add_option("--align", in.align, "X=4: bytes that the pointer of X is a multiple of (16 where nothing is said)");
  app.add_flag("--json", in.json, "one JSON document on stdout");
  if (!with_target) return;
  app.add_option("--arch", in.arch, "sm_90a, native, a list, or a device file");
  app.add_option("--target", in.target, "cuda or llvm")->check(CLI::IsMember({"cuda", "llvm"}));
  app.add_option("--mcpu", in.mcpu, "the CPU to build for with --target=llvm");
  app.add_option("--device", in.device, "number of the GPU");
}

int fail(const Refusal& why, const Input& in, const Source* source) {
  const std::string text = source ? render(why, *source) : render(why);
  if (in.json) {
    nlohmann::ordered_json j;
    j["error"] = {{"code", number(why.code)}, {"name", name(why.code)}, {"message", message(why)}};
    const CallSite at = source ? written_at(why.at, *source) : why.at;
    if (at.file) j["error"]["file"] = at.file;
    if (at.line) j["error"]["line"] = at.line;
    if (at.column) j["error"]["column"] = at.column;
    fmt::print("{}\n", j.dump(2));
  }
  std::cerr << text << "\n";
  return 1;
}

int fail(const Refusal& why, const Input& in, const Loaded& loaded, const codegen::Plan& plan) {
  const bool in_file = plan.from && why.at.file && std::string_view(why.at.file) == plan.from->name;
  return fail(why, in, in_file ? &*plan.from : &loaded.source);
}

std::optional<Loaded> load(const Input& in) {
  Loaded out;
  if (!in.text.empty()) {
    out.source = {intern("-e"), in.text};
  } else if (is_cpp(in.path)) {
    auto source = compile_input(in);
    if (!source) return std::nullopt;
    out.source = *std::move(source);
  } else {
    std::ifstream file(in.path, std::ios::binary);
    if (in.path.empty() || !file) {
      fail(refuse(Code::file_unreadable, in.path.empty() ? "(no input)" : in.path, in.path.empty() ? "give an expression: op.te, op.cpp or -e 'kernel …'" : "no such file"), in);
      return std::nullopt;
    }
    std::stringstream text;
    text << file.rdbuf();
    if (file.bad() || text.fail()) {
      fail(refuse(Code::file_unreadable, in.path, "it is not a file"), in);
      return std::nullopt;
    }
    out.source = {intern(in.path.c_str()), text.str()};
  }
  const auto parsed = te::parse(out.source);
  if (!parsed) return fail(parsed.error(), in, &out.source), std::nullopt;
  const te::Kernel* chosen = nullptr;
  std::string names;
  for (const te::Kernel& k : *parsed) {
    names += (names.empty() ? "" : ", ") + k.name;
    if (in.kernel.empty() ? parsed->size() == 1 : k.name == in.kernel) chosen = &k;
  }
  if (!chosen) return fail(refuse(Code::which_kernel, in.path, in.kernel, names), in, &out.source), std::nullopt;
  te::Bindings bindings;
  auto dims = te::parse_dims(in.dims);
  if (!dims) return fail(dims.error(), in, &out.source), std::nullopt;
  auto types = te::parse_type_bindings(in.types);
  if (!types) return fail(types.error(), in, &out.source), std::nullopt;
  auto align = te::parse_alignments(in.align);
  if (!align) return fail(align.error(), in, &out.source), std::nullopt;
  bindings.align = *std::move(align);
  bindings.dims = *std::move(dims);
  bindings.types = *std::move(types);
  auto workload = codegen::make_workload(*chosen, bindings);
  if (!workload) return fail(workload.error(), in, &out.source), std::nullopt;
  for (const std::string& w : workload->bound.warnings) std::cerr << "warning: " << w << "\n";
  out.workload = *std::move(workload);
  return out;
}

std::optional<std::vector<codegen::Target>> targets_of(const Input& in) {
  std::vector<codegen::Target> out;
  std::string arch = in.arch;
  if (in.target == "llvm") {
    auto t = codegen::find_target("cpu");
    t->arch = in.mcpu;
    return std::vector{*t};
  }
  const auto facts = [&] { return cuda::device_facts(in.device); };
  if (arch.empty()) {
    if (const auto f = facts()) {
      arch = "native";
    } else if (in.target == "cuda") {
      return fail(f.error(), in), std::nullopt;
    } else {
      return std::vector{*codegen::find_target("cpu")};
    }
  }
  std::stringstream list(arch);
  for (std::string one; std::getline(list, one, ',');) {
    if (one == "native") {
      const auto f = facts();
      if (!f) return fail(f.error(), in), std::nullopt;
      one = f->arch() + (f->major >= 9 && f->major < 12 ? "a" : "");
      auto t = codegen::find_target(one);
      if (!t) return fail(t.error(), in), std::nullopt;
      t->sm_count = f->sm_count;
      t->l2_bytes = f->l2_bytes;
      t->limits.shared_bytes = f->shared_per_block_optin;
      out.push_back(*t);
      continue;
    }
    auto t = codegen::find_target(one);
    if (!t) return fail(t.error(), in), std::nullopt;
    out.push_back(*std::move(t));
  }
  return out;
}

}  // namespace tecc::cli
