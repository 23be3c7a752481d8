#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autotune/measure/compare.h"
#include "autotune/measure/inputs.h"
#include "codegen/llvm/jit.h"
#include "ir/base/files.h"
#include "ir/interpret/te.h"
#include "python_free_cli/options.h"
#include "runtime/cpu/launch.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/time.h"
#include "runtime/npy.h"

namespace tecc::cli {
namespace {

struct Options : Input, ScheduleFrom {
  std::vector<std::string> in, out, set;
  std::uint64_t seed = 0;
  bool verify = false, bench = false, interpret = false;
};

/// NAME=value pairs of an option, each name one of `known`.
Result<std::map<std::string, std::string>> pairs(const std::vector<std::string>& given, const std::vector<std::string>& known, const char* what, const char* value) {
  std::map<std::string, std::string> out;
  std::string names;
  for (const std::string& k : known) names += (names.empty() ? "" : ", ") + k;
  for (const std::string& g : given) {
    const std::size_t eq = g.find('=');
    if (eq == std::string::npos || eq == 0) return refuse(Code::bad_assignment, g, value);
    const std::string name = g.substr(0, eq);
    if (std::find(known.begin(), known.end(), name) == known.end()) return refuse(Code::no_such_tensor, what, name, names);
    out[name] = g.substr(eq + 1);
  }
  return out;
}

Array to_array(const HostTensor& t) {
  Array a(t.dtype, t.shape);
  std::memcpy(a.data.data(), t.bytes.data(), t.bytes.size());
  return a;
}

/// What a run needs, on whatever machine.
struct Data {
  std::vector<HostTensor> inputs;  // in call order, scalars of rank 0
  std::map<std::string, HostTensor> outputs;
  Binding binding;  // dims and scalars; whoever runs it adds the buffers
};

/// A runtime dim that was not given runs at the smallest allowed value of at least 100, or its largest.
std::int64_t usual(std::int64_t min, std::int64_t max, std::int64_t multiple_of) {
  const std::int64_t value = std::max<std::int64_t>(min, (100 + multiple_of - 1) / multiple_of * multiple_of);
  return value <= max ? value : max / multiple_of * multiple_of;
}

Result<Data> prepare(const autotune::TaskSpec& task, const Options& o) {
  Data data;
  std::vector<std::string> inputs, outputs, scalars;
  for (const autotune::InputSpec& i : task.inputs) (i.by_value ? scalars : inputs).push_back(i.name);
  for (const autotune::OutputSpec& t : task.outputs) outputs.push_back(t.name);
  TECC_TRY(const auto files, pairs(o.in, inputs, "input", "file.npy"));
  TECC_TRY(const auto values, pairs(o.set, scalars, "scalar", "number"));
  TECC_CHECK(pairs(o.out, outputs, "output", "file.npy"));
  data.binding.dims = Env(task.dims.begin(), task.dims.end());
  for (const autotune::InputSpec& i : task.inputs) {
    if (i.by_value) {
      double value = autotune::scalar_input(i);
      if (const auto given = values.find(i.name); given != values.end()) {
        char* end = nullptr;
        value = std::strtod(given->second.c_str(), &end);
        if (given->second.empty() || *end) return refuse(Code::bad_assignment, i.name + "=" + given->second, "number");
      }
      TECC_TRY(HostTensor x, make_tensor(i.type, {}, i.name));
      x.set(0, value);
      if (is_float(i.type)) data.binding.scalars[i.name] = value;
      else data.binding.scalars[i.name] = x.integer(0);
      data.inputs.push_back(std::move(x));
    } else if (const auto file = files.find(i.name); file != files.end()) {
      TECC_TRY(HostTensor x, read_npy_as(file->second, i.name, i.type, i.shape));
      data.inputs.push_back(std::move(x));
    } else {
      TECC_TRY(HostTensor x, random_input(i, task.seed));
      data.inputs.push_back(std::move(x));
    }
  }
  for (const autotune::OutputSpec& t : task.outputs) {
    TECC_TRY(HostTensor x, make_tensor(t.type, t.shape, t.name));
    std::fill(x.bytes.begin(), x.bytes.end(), 0xff);  // what nobody writes shows
    data.outputs[t.name] = std::move(x);
  }
  return data;
}

/// "znver3,+avx2,+fma", as artifacts say it.
codegen::cpu::Target target_of(const CpuIsa& isa) {
  const std::size_t comma = std::min(isa.features.find(','), isa.features.size());
  return {isa.triple, isa.features.substr(0, comma), comma < isa.features.size() ? isa.features.substr(comma + 1) : ""};
}

/// Microseconds of each timed run; empty without --bench.
using Times = std::vector<double>;

Result<Times> run_cpu(const Contract& contract, const std::string& folder, const CpuCall::Lookup& lookup, const autotune::TaskSpec& task, Data& data, const Options& o) {
  // Aligned copies: the contract asks for more than a vector of bytes gives.
  std::vector<std::shared_ptr<unsigned char>> rooms;
  const auto room = [&](const std::string& name, HostTensor& t) {
    auto* memory = static_cast<unsigned char*>(std::aligned_alloc(256, (t.bytes.size() + 256) / 256 * 256));
    if (!memory) return false;
    std::memcpy(memory, t.bytes.data(), t.bytes.size());
    rooms.emplace_back(memory, std::free);
    data.binding.buffers[name] = {reinterpret_cast<std::uint64_t>(memory), static_cast<std::int64_t>(t.bytes.size())};
    return true;
  };
  for (std::size_t n = 0; n < data.inputs.size(); ++n)
    if (!task.inputs[n].by_value && !room(task.inputs[n].name, data.inputs[n]))
      return refuse(Code::out_of_memory, static_cast<std::int64_t>(data.inputs[n].bytes.size()), task.inputs[n].name);
  for (auto& [name, t] : data.outputs)
    if (!room(name, t)) return refuse(Code::out_of_memory, static_cast<std::int64_t>(t.bytes.size()), name);
  TECC_TRY(const CpuCall call, CpuCall::bind(contract, folder, data.binding, lookup));
  TECC_CHECK(call.run());
  for (auto& [name, t] : data.outputs) std::memcpy(t.bytes.data(), reinterpret_cast<void*>(data.binding.buffers[name].address), t.bytes.size());
  Times times;
  constexpr double enough_us = 2e6;  // a naive nest may take seconds: one run of it says all
  double spent_us = 0;
  for (int n = 0; o.bench && n < 20 && spent_us < enough_us; ++n) {
    const auto start = std::chrono::steady_clock::now();
    TECC_CHECK(call.run());
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    spent_us += times.back();
  }
  return times;
}

Result<Times> run_cuda(cuda::Artifact& artifact, const cuda::Device& device, const autotune::TaskSpec& task, Data& data, const Options& o) {
  std::vector<cuda::Memory> memory;
  const auto upload = [&](const std::string& name, const HostTensor& t) -> Check {
    TECC_TRY(cuda::Memory m, cuda::Memory::allocate(static_cast<std::int64_t>(t.bytes.size()), name));
    TECC_CHECK(m.upload(t.bytes.data(), static_cast<std::int64_t>(t.bytes.size())));
    data.binding.buffers[name] = {m.address(), static_cast<std::int64_t>(t.bytes.size())};
    memory.push_back(std::move(m));
    return Ok{};
  };
  for (std::size_t n = 0; n < data.inputs.size(); ++n)
    if (!task.inputs[n].by_value) TECC_CHECK(upload(task.inputs[n].name, data.inputs[n]));
  std::size_t first = memory.size();
  for (auto& [name, t] : data.outputs) TECC_CHECK(upload(name, t));
  TECC_TRY(const cuda::Call call, artifact.bind(data.binding));
  TECC_CHECK(call.launch(cuda::Stream()));
  TECC_CHECK(device.synchronize());
  for (auto& [name, t] : data.outputs) TECC_CHECK(memory[first++].download(t.bytes.data(), static_cast<std::int64_t>(t.bytes.size())));
  if (!o.bench) return Times{};
  return cuda::time_us(device, [&](const cuda::Stream& s) { return call.launch(s); });
}

/// The reference interpreter itself, in the precision of the types.
Check run_interpreter(const codegen::Workload& w, Data& data) {
  std::vector<Array> inputs;
  for (const HostTensor& x : data.inputs) inputs.push_back(to_array(x));
  const std::map<std::string, std::int64_t> dims(data.binding.dims.begin(), data.binding.dims.end());
  TECC_TRY(const std::vector<Array> made, tecc::interpret(w.bound, dims, inputs));
  for (std::size_t n = 0; n < made.size(); ++n) {
    HostTensor& t = data.outputs.at(w.naive[w.naive.outputs[n]].name);
    std::memcpy(t.bytes.data(), made[n].data.data(), t.bytes.size());
  }
  return Ok{};
}

/// Of the run, not of the largest dims.
double flops_at(loop::Program p, const autotune::TaskSpec& task) {
  for (auto& [v, range] : p.dims) range = {task.dims.at(p.vars[v].name), task.dims.at(p.vars[v].name), 1};
  return codegen::flops_of(p);
}

/// Beside the reference interpreter with sums in f64, as candidates are compared while tuning.
Check verify_outputs(const codegen::Workload& w, const autotune::TaskSpec& task, const Data& data) {
  std::vector<Array> inputs;
  for (const HostTensor& x : data.inputs) inputs.push_back(to_array(x));
  const std::map<std::string, std::int64_t> dims(data.binding.dims.begin(), data.binding.dims.end());
  TECC_TRY(const std::vector<Array> wanted, tecc::interpret(w.lifted, dims, inputs, {true}));
  for (std::size_t n = 0; n < wanted.size(); ++n) {
    const std::string& name = w.naive[w.naive.outputs[n]].name;
    autotune::Expected expected;
    for (std::int64_t e = 0; e < wanted[n].size(); ++e)
      if (is_float(wanted[n].type)) expected.real.push_back(wanted[n].get(e));
      else expected.integer.push_back(wanted[n].get_integer(e));
    TECC_CHECK(compare(name, data.outputs.at(name), expected, task.rtol, task.exact_integers));
  }
  return Ok{};
}

int report(const Options& o, const Data& data, Times times, const std::string& where, std::optional<double> flops) {
  nlohmann::ordered_json j;
  j["device"] = where;
  for (const auto& [name, t] : data.outputs) {
    double low = INFINITY, high = -INFINITY, sum = 0;
    bool nan = false;
    for (std::int64_t n = 0; n < t.count(); ++n) {
      const double v = t.value(n);
      low = std::min(low, v), high = std::max(high, v), sum += v, nan |= v != v;
    }
    if (low > high || nan) low = high = sum = NAN;  // a NaN shows in all three
    const std::string shape = shape_text(t.shape);
    if (o.json) j["outputs"].push_back({{"name", name}, {"dtype", tecc::name(t.dtype)}, {"shape", t.shape}, {"min", low}, {"max", high}, {"mean", sum / static_cast<double>(std::max<std::int64_t>(t.count(), 1))}});
    else fmt::print("{}: {}{}, min {:.6g}, max {:.6g}, mean {:.6g}\n", name, tecc::name(t.dtype), shape, low, high, sum / static_cast<double>(std::max<std::int64_t>(t.count(), 1)));
  }
  if (o.verify) {
    if (o.json) j["verified"] = true;
    else fmt::print("verified against the reference interpreter\n");
  }
  if (!times.empty()) {
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    if (o.json) {
      j["median_us"] = median;
      if (flops) j["gflops"] = *flops / median / 1e3;
    } else {
      fmt::print("{:.1f} us (median of {}){} on {}\n", median, times.size(), flops ? fmt::format(", {:.1f} GFLOP/s", *flops / median / 1e3) : "", where);
    }
  }
  if (o.json) fmt::print("{}\n", j.dump(2));
  return 0;
}

Check save(const Options& o, const Data& data) {
  for (const std::string& pair : o.out) {
    const std::size_t eq = pair.find('=');
    TECC_CHECK(write_npy(pair.substr(eq + 1), data.outputs.at(pair.substr(0, eq))));
  }
  return Ok{};
}

int run(const Options& o) {
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
    codegen::Plan plan{targets->at(0), {}};
    auto trace = schedule_for(o, o, *loaded, plan.target);
    if (!trace) return 1;
    plan.schedule = *std::move(trace);
    const auto built = codegen::build(w, {plan}, {true, true, false, false, false, false, false});
    if (!built) return fail(built.error(), o, &loaded->source);
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
  if (o.verify)
    if (Check good = verify_outputs(w, task, *data); !good) return fail(good.error(), o, &loaded->source);
  if (Check saved = save(o, *data); !saved) return fail(saved.error(), o);
  return report(o, *data, *std::move(done), where, flops_at(w.naive, task));
}

// ---- artifacts --------------------------------------------------------------------------------------------------------

/// The expression that lies beside a contract, bound as the contract says. Integers after `;` are not in contracts: `given`.
Result<codegen::Workload> expression_of(const Contract& c, const std::string& folder, const std::map<std::string, te::DimRange>& given) {
  const std::string path = folder + "/" + c.expression.value_or("(no expression)");
  TECC_TRY(const std::string text, read_file(path));
  TECC_TRY(const std::vector<te::Kernel> kernels, te::parse({intern(path.c_str()), text}));
  te::Bindings bindings{given, {c.types.begin(), c.types.end()}};
  for (const ContractDim& d : c.dims) bindings.dims[d.name] = {d.value.value_or(d.min), d.value.value_or(d.max), d.multiple_of};
  for (const te::Kernel& k : kernels)
    if (k.name == c.name) return codegen::make_workload(k, bindings);
  return refuse(Code::which_kernel, path, c.name, kernels.empty() ? "none" : kernels[0].name);
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
int run_artifact(const Options& o) {
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
  auto o = std::make_shared<Options>();
  add_input(app, *o);
  app.add_option("--in", o->in, "X=x.npy; inputs without a file are random");
  app.add_option("--out", o->out, "Y=y.npy");
  app.add_option("--set", o->set, "alpha=0.5, a scalar parameter (a small number when not given)");
  add_schedule(app, *o);
  app.add_option("--seed", o->seed, "of the random inputs");
  app.add_flag("--verify", o->verify, "compare with the reference interpreter");
  app.add_flag("--bench", o->bench, "time it");
  app.add_flag("--interpret", o->interpret, "run the reference interpreter itself");
  return [o] { return o->path.ends_with(".json") && o->text.empty() ? run_artifact(*o) : run(*o); };
}

}  // namespace tecc::cli
