#include "codegen/build.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "codegen/c_header.h"
#include "codegen/compile_from.h"
#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/llvm/object.h"
#include "ir/base/files.h"
#include "ir/loop/affine.h"

namespace tecc::codegen {

using loop::Program;

namespace {

constexpr const char* version = "0.1.0";
constexpr const char* workspace_name = "workspace";

/// A name no buffer has.
std::string free_name(const Program& p, std::string name) {
  const auto taken = [&] {
    for (std::uint32_t n = 0; n < p.buffers.size(); ++n)
      if (p.buffers.has({n}) && p[TensorId{n}].name == name) return true;
    return false;
  };
  while (taken()) name += "_";
  return name;
}

ContractBuffer contract_buffer(const Program& p, TensorId t, Role role) {
  const loop::Buffer& b = p[t];
  ContractBuffer out;
  out.name = b.name;
  out.role = b.by_value ? Role::scalar : role;
  out.dtype = b.type;
  if (b.by_value) return out;
  out.align = std::max<std::int64_t>(b.alignment, bytes_of(b.type));
  for (const Expr& e : b.shape) out.shape.push_back(formula_of(p, e));
  for (std::size_t d = 0; d < b.shape.size(); ++d) {
    Expr stride = index_literal(1);
    for (std::size_t e = d + 1; e < b.shape.size(); ++e) stride = stride * b.shape[e];
    out.strides.push_back(formula_of(p, stride));
  }
  return out;
}

Contract skeleton(const Workload& w, const Program& p) {
  Contract c;
  c.name = w.kernel.name;
  c.tecc_version = version;
  for (const std::string& t : w.kernel.type_parameters)
    if (const auto found = w.bound.bindings.types.find(t); found != w.bound.bindings.types.end()) c.types.emplace_back(t, found->second);
  for (VarId v : w.kernel.dims) {
    const std::string& name = w.kernel[v].name;
    const auto range = w.bound.bindings.dims.find(name);
    if (range == w.bound.bindings.dims.end()) continue;
    ContractDim d;
    d.name = name;
    if (range->second.fixed()) d.value = range->second.min;
    else d.min = range->second.min, d.max = range->second.max, d.multiple_of = range->second.multiple_of;
    c.dims.push_back(d);
  }
  c.constraints = w.lifted.constraints;
  for (TensorId t : p.inputs) c.buffers.push_back(contract_buffer(p, t, Role::input));
  for (TensorId t : p.outputs) c.buffers.push_back(contract_buffer(p, t, Role::output));
  c.numerics = numerics_of(w);
  c.expression = w.kernel.name + ".te";
  c.schedule = w.kernel.name + ".schedule";
  return c;
}

TensorMapArg tensor_map(const Program& p, const Workspace& ws, const cuda::MapArgument& map) {
  const loop::Buffer& b = p[map.buffer];
  TensorMapArg out;
  const bool workspace = b.role == loop::Role::workspace;
  out.buffer = workspace ? free_name(p, workspace_name) : b.name;
  if (workspace) out.offset_bytes = ws.offsets.at(map.buffer);
  out.dtype = map.type;
  Expr stride = index_literal(bytes_of(b.type));
  for (std::size_t d = b.shape.size(); d-- > 0;) {
    out.dims.push_back(formula_of(p, b.shape[d]));
    stride = stride * b.shape[d];
    if (d > 0) out.strides_bytes.push_back(formula_of(p, stride));
  }
  out.box = map.box;
  out.element_strides.assign(map.box.size(), 1);
  if (map.swizzle) out.swizzle = fmt::format("{}B", map.swizzle);
  out.l2_promotion = "256B";
  return out;
}

/// Variants share one workspace, as large as the largest needs it.
void add_workspace(Contract& c, const ContractBuffer& b) {
  for (ContractBuffer& other : c.buffers)
    if (other.role == Role::workspace) {
      other.bytes = other.bytes == b.bytes ? b.bytes : fmt::format("max({}, {})", other.bytes, b.bytes);
      return;
    }
  c.buffers.push_back(b);
}

CudaLaunch launch_of(const Program& p, const Workspace& ws, const cuda::Kernel& k, const Target& t) {
  CudaLaunch launch;
  launch.kernel = k.name;
  launch.image = k.name + ".cubin";  // until the artifact has one
  launch.grid[0] = formula_of(p, k.grid);
  constexpr std::int64_t reserved = 1024;  // bytes of shared memory a block that the system takes
  const std::int64_t residents = std::clamp<std::int64_t>(t.shared_per_sm / (k.shared_bytes + reserved), 1, k.residents);
  const std::string sms = residents == 1 ? "sm_count" : fmt::format("{} * sm_count", residents), at_once = k.cluster == 1 ? sms : fmt::format("{} / {}", sms, k.cluster);
  if (k.persistent) launch.grid[0] = fmt::format("min({}, {})", launch.grid[0], at_once);
  if (k.cluster > 1) launch.grid[0] = fmt::format("{} * ({})", k.cluster, launch.grid[0]);
  launch.cluster[0] = k.cluster;
  launch.block[0] = k.threads;
  launch.shared_bytes = k.shared_bytes;
  launch.programmatic_dependent = k.start != loop::Root::Start::ordered;
  for (const auto& a : k.arguments) {
    if (const auto* dim = std::get_if<cuda::DimArgument>(&a)) {
      launch.args.push_back(ScalarArg{DType::i64, p.vars[dim->dim].name});
      continue;
    }
    if (const auto* map = std::get_if<cuda::MapArgument>(&a)) {
      launch.args.push_back(tensor_map(p, ws, *map));
      continue;
    }
    const TensorId t = std::get<cuda::BufferArgument>(a).buffer;
    const loop::Buffer& b = p[t];
    if (b.by_value) launch.args.push_back(ScalarArg{b.type, b.name});
    else if (b.role == loop::Role::workspace) launch.args.push_back(BufferArg{free_name(p, workspace_name), ws.offsets.at(t)});
    else launch.args.push_back(BufferArg{b.name, "0"});
  }
  return launch;
}

/// The text of a plan's kernels, with how they are launched: the contract's buffers and its one variant.
Result<CudaText> cuda_text(const Plan& plan, const Program& p, Contract contract) {
  TECC_TRY(const cuda::Module module, cuda::emit(p));
  const Workspace ws = plan_workspace(p);
  CudaIsa isa;
  isa.arch = plan.target.arch;
  const char last = isa.arch.back();
  isa.forward_compatible = last != 'a' && last != 'f';
  Variant v;
  v.target = isa;
  if (!ws.offsets.empty()) {
    ContractBuffer b;
    b.name = free_name(p, workspace_name);
    b.role = Role::workspace;
    b.align = 256;
    b.bytes = ws.bytes;
    contract.buffers.push_back(b);
  }
  for (const cuda::Kernel& k : module.kernels) v.launches.push_back(launch_of(p, ws, k, plan.target));
  contract.variants = {v};
  return CudaText{module.source, std::move(contract)};
}

/// Images of the text, and its variant in the artifact's contract.
Check add_cuda(const Workload& w, const Plan& plan, const CudaText& cuda, const std::string& stem, const Emit& emit, Built& out) {
  if (emit.cuda) out.files[stem + ".cu"] = cuda.text;
  if (emit.cubin || emit.ptx) {
    TECC_TRY(const Compiled compiled, compile(cuda.text, plan.from && is_cuda(*plan.from) ? plan.from->name : w.kernel.name, plan.target.arch, {{}, emit.ptx}));
    if (emit.cubin) out.files[stem + ".cubin"] = compiled.cubin;
    if (emit.ptx) out.files[stem + ".ptx"] = compiled.ptx;
    if (out.contract.toolkit.empty())
      if (const auto nvrtc = nvrtc_version()) out.contract.toolkit = fmt::format("{}.{}", nvrtc->first, nvrtc->second);
  }
  for (const ContractBuffer& b : cuda.contract.buffers)
    if (b.role == Role::workspace) add_workspace(out.contract, b);
  Variant v = cuda.contract.variants[0];
  for (Launch& launch : v.launches) {
    auto& l = std::get<CudaLaunch>(launch);
    l.image = stem + ".cubin";
    l.ptx = emit.ptx ? std::optional(stem + ".ptx") : std::nullopt;
  }
  out.contract.variants.push_back(std::move(v));
  return Ok{};
}

/// The stage that lowering begins with: what the plan's steps leave, or what its file holds.
Result<compiler::Stage> first_stage(const Workload& w, const Plan& plan) {
  if (!plan.from) {
    TECC_TRY(schedule::State state, schedule::replay(w.naive, plan.schedule));
    return compiler::Stage{"scheduled", std::move(state.program)};
  }
  if (is_cuda(*plan.from)) return refuse(Code::no_stage, plan.from->name, "CUDA text runs on a GPU and nowhere else");
  TECC_TRY(compiler::Stage stage, compiler::parse_stage(*plan.from, plan.target.limits));
  TECC_CHECK(belongs(stage.program, w, *plan.from));
  return stage;
}

/// What f() returns; a row of how long it took goes to `spent`.
template <class F>
auto timed(std::vector<compiler::Spent>* spent, const char* step, F f) {
  const auto begin = std::chrono::steady_clock::now();
  auto out = f();
  if (spent) spent->push_back({step, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count()});
  return out;
}

Result<Variant> cpu_variant(const Workload& w, const Plan& plan, const Program& p, const std::string& stem, const Emit& emit, Built& out) {
  cpu::Target target;
  target.cpu = plan.target.arch;
  cpu::Places places;  // the contract lists every dim, runtime ones among fixed ones
  for (const auto& [v, range] : p.dims)
    for (std::size_t n = 0; n < out.contract.dims.size(); ++n)
      if (out.contract.dims[n].name == p.vars[v].name) places.dims[v] = static_cast<int>(n);
  TECC_TRY(const cpu::Module module, cpu::emit(p, target, places));
  if (emit.object) {
    TECC_TRY(out.files[stem + ".o"], cpu::object(module));
  }
  if (const auto c = constant_of(module.workspace_bytes); !c || *c > 0) {
    ContractBuffer b;
    b.name = free_name(p, workspace_name);
    b.role = Role::workspace;
    b.align = 256;
    b.bytes = formula_of(p, module.workspace_bytes);
    out.contract.buffers.push_back(b);
  }
  Variant v;
  v.target = CpuIsa{module.target.triple, module.target.cpu + (module.target.features.empty() ? "" : "," + module.target.features)};
  for (const cpu::Kernel& k : module.kernels) v.launches.push_back(CpuLaunch{stem + ".o", k.name, formula_of(p, k.tasks)});
  out.modules.push_back(module);
  (void)w;
  return v;
}

}  // namespace

Result<Workload> make_workload(const te::Kernel& kernel, const te::Bindings& bindings) {
  TECC_TRY(te::Bound bound, te::bind(kernel, bindings));
  te::Lifted lifted = te::lift(bound);
  Workload w{kernel, std::move(bound), lifted, loop::naive(lifted), te::hash(lifted)};
  return w;
}

Numerics numerics_of(const Workload& w) {
  // Each operation rounds by half a unit; a reduction of n terms of random sign gathers about sqrt(n) of them in f32.
  Numerics out;
  double unit = 0;
  std::int64_t longest = 1;
  for (TensorId t : w.naive.outputs) {
    const DType type = w.naive[t].type;
    if (is_float(type)) unit = std::max(unit, std::ldexp(1.0, -info(type).mantissa_bits));
  }
  for (loop::BlockId b : loop::all_blocks(w.naive)) {
    std::int64_t n = 1;
    for (const loop::Iter& i : w.naive.block(b).iters)
      if (i.kind != loop::IterKind::spatial) n = std::min<std::int64_t>(n * std::max<std::int64_t>(loop::largest(w.naive, i.upper), 1), 1 << 30);
    longest = std::max(longest, n);
    for (const loop::Write& wr : w.naive.block(b).writes)
      if (w.naive[wr.buffer].type == DType::f64) out.accumulate = "f64";
  }
  out.rtol = 4 * unit + 16 * std::ldexp(1.0, out.accumulate == "f64" ? -52 : -23) * std::sqrt(static_cast<double>(longest));
  out.atol = out.rtol;
  return out;
}

double flops_of(const Program& p) {
  double flops = 0;
  for (loop::BlockId id : loop::all_blocks(p)) {
    const loop::Block& b = p.block(id);
    double instances = 1;
    for (const loop::Iter& i : b.iters) instances *= static_cast<double>(std::max<std::int64_t>(loop::largest(p, i.upper) - i.lower, 0));
    double operations = b.combiner ? 1 : 0;
    for (const loop::Write& wr : b.writes)
      walk(wr.value, [&](const Expr& e) {
        if (e.as<Read>()) return false;  // index arithmetic does not count
        operations += is_float(e->type) && (e.as<Binary>() || e.as<Unary>());
        return true;
      });
    flops += instances * operations;
  }
  return flops;
}

Result<Program> lowered(const Workload& w, const Plan& plan, const std::string& dump, std::vector<compiler::Spent>* spent) {
  TECC_TRY(compiler::Stage stage, timed(spent, "schedule", [&] { return first_stage(w, plan); }));
  return compiler::lower_from(std::move(stage), plan.target.limits, dump, spent);
}

std::optional<std::string> reproducer(const Workload& w, const Plan& plan) {
  auto stage = first_stage(w, plan);
  if (!stage) return std::nullopt;
  const auto found = compiler::before_bug(*std::move(stage), plan.target.limits, plan.target.limits.gpu ? compiler::gpu_pipeline() : compiler::cpu_pipeline());
  return found ? std::optional(print(*found)) : std::nullopt;
}

Result<Built> build(const Workload& w, const std::vector<Plan>& plans, const Emit& emit, const std::string& dump, std::vector<compiler::Spent>* spent) {
  Built out;
  out.contract = skeleton(w, w.naive);
  for (const Plan& plan : plans) {
    const std::string stem = plans.size() == 1 ? w.kernel.name : w.kernel.name + "." + plan.target.arch;
    const std::string folder = dump.empty() || plans.size() == 1 ? dump : dump + "/" + plan.target.arch;
    const bool from_cuda = plan.from && plan.target.kind == Target::Kind::cuda && is_cuda(*plan.from);
    if (!folder.empty()) std::filesystem::create_directories(folder);
    std::optional<Program> p;
    if (!from_cuda) {
      TECC_TRY(p, lowered(w, plan, folder, spent));
    }
    if (plan.target.kind == Target::Kind::cuda) {
      auto cuda = timed(spent, "emit", [&] { return from_cuda ? parse_cuda(*plan.from) : cuda_text(plan, *p, skeleton(w, *p)); });
      if (!cuda) return cuda.error();
      if (from_cuda) TECC_CHECK(belongs(cuda->contract, out.contract, plan.target.arch, *plan.from));
      if (!folder.empty()) TECC_CHECK(write_file(fmt::format("{}/{}.cu", folder, stem), print(*cuda)));
      TECC_CHECK(timed(spent, "compile", [&] { return add_cuda(w, plan, *cuda, stem, emit, out); }));
    } else {
      TECC_TRY(Variant v, timed(spent, "emit and compile", [&] { return cpu_variant(w, plan, *p, stem, emit, out); }));
      out.contract.variants.push_back(std::move(v));
    }
    if (emit.ir && p) {
      const auto passes = plan.target.limits.gpu ? compiler::gpu_pipeline() : compiler::cpu_pipeline();
      out.files[stem + ".ir"] = compiler::print({std::string(passes.back().name), *p});
    }
    if (plan.from) {  // no schedule says how it was made
      out.contract.schedule.reset();
      continue;
    }
    const std::string schedule_text = schedule::print(plan.schedule, w.naive);
    std::string& all = out.files[w.kernel.name + ".schedule"];
    all += plans.size() == 1 ? schedule_text : fmt::format("# {}\n{}", plan.target.arch, schedule_text);
  }
  out.files[w.kernel.name + ".te"] = te::print(w.kernel);
  TECC_CHECK(verify(out.contract));
  if (emit.header) {
    out.files[w.kernel.name + ".h"] = c_header(out.contract);
    out.files["example.c"] = example_c(out.contract);
  }
  if (emit.json) out.files[w.kernel.name + ".json"] = to_json(out.contract);
  return out;
}

}  // namespace tecc::codegen
