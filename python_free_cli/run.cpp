#include <fmt/format.h>

#include <filesystem>

#include "codegen/llvm/jit.h"
#include "ir/base/files.h"
#include "python_free_cli/execute.h"

namespace tecc::cli {
namespace {

/// The scheduled program as a GPU would run it, warp by warp.
Result<std::string> simulated(const codegen::Workload& w, const codegen::Plan& plan, Data& data, const RunOptions& o) {
  TECC_TRY(const loop::Program threaded, codegen::lowered(w, plan));
  return run_simulator(threaded, data, o);
}

int finish(const RunOptions& o, const Loaded& loaded, const autotune::TaskSpec& task, Data& data, Times times, const std::string& where) {
  const codegen::Workload& w = loaded.workload;
  if (o.verify)
    if (Check good = verify_outputs(w, task, data); !good) return fail(good.error(), o, &loaded.source);
  if (Check saved = save(o, data); !saved) return fail(saved.error(), o);
  return report(o, data, std::move(times), where, flops_at(w.naive, task));
}

int run(const RunOptions& o) {
  const auto loaded = load(o);
  if (!loaded) return 1;
  const codegen::Workload& w = loaded->workload;
  std::map<std::string, std::int64_t> dims;
  for (const auto& [v, r] : w.naive.dims) dims[w.naive.vars[v].name] = usual(r.min, r.max, r.multiple_of);
  const autotune::TaskSpec task = autotune::task_of(w, dims, o.seed);
  auto data = prepare(task, o);
  if (!data) return fail(data.error(), o, &loaded->source);
  Result<Times> done = Times{};
  std::string where;
  if (o.interpret) {
    where = "the reference interpreter";
    if (Check good = run_interpreter(w, *data); !good) done = good.error();
  } else {
    const auto targets = targets_of(o);
    if (!targets) return 1;
    const codegen::Target& target = targets->at(0);
    if (o.simulate && target.kind != codegen::Target::Kind::cuda) return fail(refuse(Code::no_lowering, "CPU", "what --simulate runs; legal: -arch= of a GPU"), o);
    const auto chosen = plan_for(o, o, *loaded, target);
    if (!chosen) return 1;
    const codegen::Plan& plan = *chosen;
    if (o.simulate) {
      const auto seen = simulated(w, plan, *data, o);
      if (!seen) return fail(seen.error(), o, *loaded, plan);
      return finish(o, *loaded, task, *data, Times{}, *seen);
    }
    const auto built = codegen::build(w, {plan}, {true, true, false, false, false, false, false});
    if (!built) return fail(built.error(), o, *loaded, plan);
    if (plan.target.kind == codegen::Target::Kind::cpu) {
      where = "CPU";
      const auto jit = codegen::cpu::Jit::make(built->modules.at(0));
      if (!jit) return fail(jit.error(), o);
      done = run_cpu(built->contract, ".", [&](const CpuLaunch& l) { return jit->function(l.symbol); }, task, *data, o);
    } else {
      const auto device = cuda::Device::open(o.device);
      if (!device) return fail(device.error(), o);
      where = device->facts().name;
      auto artifact = cuda::Artifact::of(*device, built->contract, built->files);
      done = run_cuda(artifact, *device, task, *data, o);
    }
  }
  if (!done) return fail(done.error(), o, &loaded->source);
  return finish(o, *loaded, task, *data, *std::move(done), where);
}

// ---- artifacts --------------------------------------------------------------------------------------------------------

/// "znver3,+avx2,+fma", as artifacts say it.
codegen::cpu::Target target_of(const CpuIsa& isa) {
  const std::size_t comma = std::min(isa.features.find(','), isa.features.size());
  return {isa.triple, isa.features.substr(0, comma), comma < isa.features.size() ? isa.features.substr(comma + 1) : ""};
}

/// What a contract alone says: shapes, no bounds of integers that index other tensors.
Result<autotune::TaskSpec> task_of(const Contract& c, const Env& dims, std::uint64_t seed) {
  TECC_TRY(const Env env, bind_dims(c, dims));
  autotune::TaskSpec task;
  task.dims = std::map<std::string, std::int64_t>(dims.begin(), dims.end());
  task.rtol = c.numerics.rtol;
  task.seed = seed;
  task.exact_integers = true;
  for (const ContractBuffer& b : c.buffers) {
    if (b.role != Role::input && b.role != Role::output && b.role != Role::scalar) continue;
    std::vector<std::int64_t> shape;
    for (const std::string& e : b.shape) {
      TECC_TRY(const std::int64_t extent, evaluate(e, env));
      shape.push_back(extent);
    }
    if (b.role == Role::output) task.outputs.push_back({b.name, *b.dtype, shape});
    else task.inputs.push_back({b.name, *b.dtype, shape, b.role == Role::scalar, 0});
    task.exact_integers &= b.role == Role::output || !is_float(*b.dtype);
  }
  return task;
}

/// The code of the CPU variants that run here, by object file. E0611 where none does; E0601, E0619.
Result<std::map<std::string, codegen::cpu::Jit>> load_objects(Contract& c, const std::string& folder) {
  std::map<std::string, codegen::cpu::Jit> out;
  std::string why;
  std::erase_if(c.variants, [&](const Variant& v) {
    const auto* isa = std::get_if<CpuIsa>(&v.target);
    if (!isa) return true;
    const std::string missing = codegen::cpu::missing_here(target_of(*isa));
    if (!missing.empty()) why += (why.empty() ? "" : "; ") + ("a variant needs " + missing);
    return !missing.empty();
  });
  if (c.variants.empty()) return refuse(Code::no_variant, c.name, why.empty() ? "the CPU" : fmt::format("this CPU ({})", why));
  for (const Variant& v : c.variants) {
    std::map<std::string, std::vector<std::string>> symbols;
    for (const auto* launches : {&v.once, &v.launches})
      for (const Launch& l : *launches) symbols[std::get<CpuLaunch>(l).object].push_back(std::get<CpuLaunch>(l).symbol);
    for (const auto& [object, names] : symbols) {
      TECC_TRY(const std::string bytes, read_file(folder + "/" + object));
      TECC_TRY(out[object], codegen::cpu::Jit::load(bytes, object, target_of(std::get<CpuIsa>(v.target)), names));
    }
  }
  return out;
}

/// An artifact knows its shapes by its contract alone; with its expression beside it, it can be verified.
int run_artifact(const RunOptions& o) {
  auto contract = read_contract(o.path);
  if (!contract) return fail(contract.error(), o);
  const std::string folder = std::filesystem::path(o.path).parent_path().empty() ? "." : std::filesystem::path(o.path).parent_path().string();
  const auto given = te::parse_dims(o.dims);
  if (!given) return fail(given.error(), o);
  auto integers = *given;
  Env dims;
  for (const ContractDim& d : contract->dims) {
    integers.erase(d.name);
    if (const auto g = given->find(d.name); g != given->end()) dims[d.name] = usual(g->second.min, g->second.max, g->second.multiple_of);
    else if (!d.value) dims[d.name] = usual(d.min, d.max, d.multiple_of);
  }
  auto task = task_of(*contract, dims, o.seed);
  if (!task) return fail(task.error(), o);
  for (const ContractDim& d : contract->dims)
    if (d.value) task->dims.erase(d.name);
  const auto w = expression_of(*contract, folder, integers);
  if (w) task = autotune::task_of(*w, task->dims, o.seed);
  else if (o.verify || o.interpret || !integers.empty()) return fail(w.error(), o);
  auto data = prepare(*task, o);
  if (!data) return fail(data.error(), o);

  bool gpu = false, cpu = false;
  for (const Variant& v : contract->variants) (std::holds_alternative<CudaIsa>(v.target) ? gpu : cpu) = true;
  std::optional<Result<cuda::Device>> device;
  if (!o.interpret && o.target != "llvm" && (gpu || o.target == "cuda")) device = cuda::Device::open(o.device);
  Result<Times> done = Times{};
  std::string where;
  if (o.interpret) {
    where = "the reference interpreter";
    if (Check good = run_interpreter(*w, *data); !good) done = good.error();
  } else if (device && (*device || !cpu || o.target == "cuda")) {
    if (!*device) return fail(device->error(), o);
    where = (*device)->facts().name;
    auto artifact = cuda::Artifact::load(**device, o.path);
    if (!artifact) return fail(artifact.error(), o);
    done = run_cuda(*artifact, **device, *task, *data, o);
  } else {
    where = "CPU";
    const auto objects = load_objects(*contract, folder);
    if (!objects) return fail(objects.error(), o);
    done = run_cpu(*contract, folder, [&](const CpuLaunch& l) { return objects->at(l.object).function(l.symbol); }, *task, *data, o);
  }
  if (!done) return fail(done.error(), o);
  if (o.verify)
    if (Check good = verify_outputs(*w, *task, *data); !good) return fail(good.error(), o);
  if (Check saved = save(o, *data); !saved) return fail(saved.error(), o);
  return report(o, *data, *std::move(done), where, w ? std::optional(flops_at(w->naive, *task)) : std::nullopt);
}

}  // namespace

std::function<int()> add_run(CLI::App& app) {
  auto o = std::make_shared<RunOptions>();
  add_input(app, *o);
  app.add_option("--in", o->in, "X=x.npy; inputs without a file are random");
  app.add_option("--out", o->out, "Y=y.npy");
  app.add_option("--set", o->set, "alpha=0.5, a scalar parameter (a small number when not given)");
  add_schedule(app, *o);
  app.add_option("--seed", o->seed, "of the random inputs");
  app.add_flag("--verify", o->verify, "compare with the reference interpreter");
  app.add_flag("--bench", o->bench, "time it");
  app.add_flag("--interpret", o->interpret, "run the reference interpreter itself");
  app.add_flag("--simulate", o->simulate, "run the GPU program of -arch on the CPU, and look for races; --seed draws the order of its warps");
  return [o] { return o->path.ends_with(".json") && o->text.empty() ? run_artifact(*o) : run(*o); };
}

}  // namespace tecc::cli
