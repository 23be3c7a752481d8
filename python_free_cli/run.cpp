#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "codegen/llvm/jit.h"
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

/// Random normal values, or small integers; the same for a seed and a name, whatever the other inputs are.
void fill_random(HostTensor& t, std::uint64_t seed, const std::string& name) {
  std::seed_seq mix{seed, static_cast<std::uint64_t>(std::hash<std::string>()(name))};
  std::mt19937_64 rng(mix);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> small(-8, 8), bit(0, 1);
  for (std::int64_t n = 0; n < t.count(); ++n) {
    if (is_float(t.dtype)) t.set(n, normal(rng));
    else t.set_integer(n, t.dtype == DType::boolean ? bit(rng) : t.dtype == DType::u8 ? small(rng) + 8 : small(rng));
  }
}

Array to_array(const HostTensor& t) {
  Array a(t.dtype, t.shape);
  std::memcpy(a.data.data(), t.bytes.data(), t.bytes.size());
  return a;
}

/// What a run needs, on whatever machine: tensors by name, dims, scalars.
struct Data {
  std::map<std::string, HostTensor> inputs, outputs;
  Binding binding;
};

Result<Data> prepare(const codegen::Workload& w, const Options& o) {
  Data data;
  const loop::Program& p = w.naive;
  std::vector<std::string> inputs, outputs, scalars;
  for (TensorId t : p.inputs) (p[t].by_value ? scalars : inputs).push_back(p[t].name);
  for (TensorId t : p.outputs) outputs.push_back(p[t].name);
  TECC_TRY(const auto files, pairs(o.in, inputs, "input", "file.npy"));
  TECC_TRY(const auto values, pairs(o.set, scalars, "scalar", "number"));
  TECC_TRY(const auto ignored, pairs(o.out, outputs, "output", "file.npy"));
  (void)ignored;
  std::map<VarId, std::int64_t> dims;  // a runtime dim is run at the smallest allowed value of at least 100, or its largest
  for (const auto& [v, r] : p.dims) {
    const std::int64_t value = std::clamp<std::int64_t>((100 + r.multiple_of - 1) / r.multiple_of * r.multiple_of, r.min, r.max);
    dims[v] = value;
    data.binding.dims[p.vars[v].name] = value;
  }
  const auto shape_of = [&](TensorId t) {
    std::vector<std::int64_t> shape;
    for (const Expr& e : p[t].shape) {
      const Expr bound = substitute(e, [&](VarId v) { return dims.count(v) ? index_literal(dims[v]) : Expr(); });
      shape.push_back(*evaluate(codegen::formula_of(p, bound), {}));
    }
    return shape;
  };
  for (TensorId t : p.inputs) {
    const loop::Buffer& b = p[t];
    if (b.by_value) {
      const auto given = values.find(b.name);
      data.binding.scalars[b.name] = given == values.end() ? 1.0 : std::strtod(given->second.c_str(), nullptr);
      continue;
    }
    if (const auto file = files.find(b.name); file != files.end()) {
      TECC_TRY(data.inputs[b.name], read_npy_as(file->second, b.name, b.type, shape_of(t)));
    } else {
      TECC_TRY(data.inputs[b.name], make_tensor(b.type, shape_of(t), b.name));
      fill_random(data.inputs[b.name], o.seed, b.name);
    }
  }
  for (TensorId t : p.outputs) {
    TECC_TRY(data.outputs[p[t].name], make_tensor(p[t].type, shape_of(t), p[t].name));
    std::fill(data.outputs[p[t].name].bytes.begin(), data.outputs[p[t].name].bytes.end(), 0xff);  // what nobody writes shows
  }
  return data;
}

/// Microseconds of each timed run; empty without --bench.
using Times = std::vector<double>;

Result<Times> run_cpu(const codegen::Built& built, Data& data, const Options& o) {
  TECC_TRY(const codegen::cpu::Jit jit, codegen::cpu::Jit::make(built.modules.at(0)));
  // Aligned copies: the contract asks for more than a vector of bytes gives.
  std::vector<std::shared_ptr<unsigned char>> rooms;
  const auto room = [&](const std::string& name, HostTensor& t) {
    auto* memory = static_cast<unsigned char*>(std::aligned_alloc(256, (t.bytes.size() + 256) / 256 * 256));
    std::memcpy(memory, t.bytes.data(), t.bytes.size());
    rooms.emplace_back(memory, std::free);
    data.binding.buffers[name] = {reinterpret_cast<std::uint64_t>(memory), static_cast<std::int64_t>(t.bytes.size())};
  };
  for (auto& [name, t] : data.inputs) room(name, t);
  for (auto& [name, t] : data.outputs) room(name, t);
  TECC_TRY(const CpuCall call, CpuCall::bind(built.contract, ".", data.binding, [&](const CpuLaunch& l) { return jit.function(l.symbol); }));
  TECC_CHECK(call.run());
  Times times;
  constexpr double enough_us = 2e6;  // a naive nest may take seconds: one run of it says all
  double spent_us = 0;
  for (int n = 0; o.bench && n < 20 && spent_us < enough_us; ++n) {
    const auto start = std::chrono::steady_clock::now();
    TECC_CHECK(call.run());
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    spent_us += times.back();
  }
  for (auto& [name, t] : data.outputs) std::memcpy(t.bytes.data(), reinterpret_cast<void*>(data.binding.buffers[name].address), t.bytes.size());
  return times;
}

Result<Times> run_cuda(cuda::Artifact& artifact, const cuda::Device& device, Data& data, const Options& o) {
  std::vector<cuda::Memory> memory;
  const auto upload = [&](const std::string& name, const HostTensor& t) -> Check {
    TECC_TRY(cuda::Memory m, cuda::Memory::allocate(static_cast<std::int64_t>(t.bytes.size()), name));
    TECC_CHECK(m.upload(t.bytes.data(), static_cast<std::int64_t>(t.bytes.size())));
    data.binding.buffers[name] = {m.address(), static_cast<std::int64_t>(t.bytes.size())};
    memory.push_back(std::move(m));
    return Ok{};
  };
  for (auto& [name, t] : data.inputs) TECC_CHECK(upload(name, t));
  std::size_t first = memory.size();
  for (auto& [name, t] : data.outputs) TECC_CHECK(upload(name, t));
  TECC_TRY(const cuda::Call call, artifact.bind(data.binding));
  TECC_CHECK(call.launch(cuda::Stream()));
  TECC_CHECK(device.synchronize());
  for (auto& [name, t] : data.outputs) TECC_CHECK(memory[first++].download(t.bytes.data(), static_cast<std::int64_t>(t.bytes.size())));
  if (!o.bench) return Times{};
  return cuda::time_us(device, [&](const cuda::Stream& s) { return call.launch(s); });
}

/// Largest error beside the reference interpreter, as a share of the largest reference value.
Check verify_outputs(const codegen::Workload& w, const Data& data) {
  std::vector<Array> inputs;
  for (TensorId t : w.naive.inputs) {
    const loop::Buffer& b = w.naive[t];
    if (!b.by_value) {
      inputs.push_back(to_array(data.inputs.at(b.name)));
      continue;
    }
    Array a(b.type, {});
    a.set(0, std::get<double>(data.binding.scalars.at(b.name)));
    inputs.push_back(a);
  }
  const std::map<std::string, std::int64_t> dims(data.binding.dims.begin(), data.binding.dims.end());
  TECC_TRY(const std::vector<Array> wanted, tecc::interpret(w.lifted, dims, inputs, {true}));
  const double tolerance = codegen::numerics_of(w).rtol;
  for (std::size_t n = 0; n < wanted.size(); ++n) {
    const std::string& name = w.naive[w.naive.outputs[n]].name;
    const HostTensor& got = data.outputs.at(name);
    double scale = 1e-30;
    for (std::int64_t e = 0; e < wanted[n].size(); ++e)
      if (std::isfinite(wanted[n].get(e))) scale = std::max(scale, std::abs(wanted[n].get(e)));
    for (std::int64_t e = 0; e < wanted[n].size(); ++e) {
      const double a = got.value(e), b = wanted[n].get(e);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      const double error = std::abs(a - b) / scale;
      if (!(error <= tolerance)) return refuse(Code::differs_from_reference, name, fmt::format("{:.3g}", error), fmt::format("{:.3g}", tolerance), e);
    }
  }
  return Ok{};
}

int report(const Options& o, const Data& data, Times times, const std::string& where, double flops) {
  nlohmann::ordered_json j;
  j["device"] = where;
  for (const auto& [name, t] : data.outputs) {
    double low = INFINITY, high = -INFINITY, sum = 0;
    for (std::int64_t n = 0; n < t.count(); ++n) {
      const double v = t.value(n);
      low = std::min(low, v), high = std::max(high, v), sum += v;
    }
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
    if (o.json) j["median_us"] = median, j["gflops"] = flops / median / 1e3;
    else fmt::print("{:.1f} us (median of {}), {:.1f} GFLOP/s on {}\n", median, times.size(), flops / median / 1e3, where);
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
  auto data = prepare(w, o);
  if (!data) return fail(data.error(), o, &loaded->source);
  const double flops = codegen::flops_of(w.naive);
  Times times;
  std::string where;
  if (o.interpret) {
    where = "the reference interpreter";
    std::vector<Array> inputs;
    for (TensorId t : w.naive.inputs) {
      if (!w.naive[t].by_value) inputs.push_back(to_array(data->inputs.at(w.naive[t].name)));
      else inputs.emplace_back(w.naive[t].type, std::vector<std::int64_t>{}), inputs.back().set(0, std::get<double>(data->binding.scalars.at(w.naive[t].name)));
    }
    const auto result = tecc::interpret(w.bound, std::map<std::string, std::int64_t>(data->binding.dims.begin(), data->binding.dims.end()), inputs);
    if (!result) return fail(result.error(), o, &loaded->source);
    for (std::size_t n = 0; n < result->size(); ++n) {
      HostTensor& t = data->outputs.at(w.naive[w.naive.outputs[n]].name);
      std::memcpy(t.bytes.data(), (*result)[n].data.data(), t.bytes.size());
    }
  } else {
    const auto targets = targets_of(o);
    if (!targets) return 1;
    codegen::Plan plan{targets->at(0), {}};
    auto trace = schedule_for(o, o, *loaded, plan.target);
    if (!trace) return 1;
    plan.schedule = *std::move(trace);
    const auto built = codegen::build(w, {plan}, {true, true, false, false, false, false, false});
    if (!built) return fail(built.error(), o, &loaded->source);
    Result<Times> done = Times{};
    if (plan.target.kind == codegen::Target::Kind::cpu) {
      where = "CPU";
      done = run_cpu(*built, *data, o);
    } else {
      const auto device = cuda::Device::open(o.device);
      if (!device) return fail(device.error(), o);
      where = device->facts().name;
      auto artifact = cuda::Artifact::of(*device, built->contract, built->files);
      done = run_cuda(artifact, *device, *data, o);
    }
    if (!done) return fail(done.error(), o, &loaded->source);
    times = *std::move(done);
  }
  if (o.verify)
    if (Check good = verify_outputs(w, *data); !good) return fail(good.error(), o, &loaded->source);
  if (Check saved = save(o, *data); !saved) return fail(saved.error(), o);
  return report(o, *data, times, where, flops);
}

/// An artifact knows its shapes by its contract alone.
int run_artifact(const Options& o) {
  const auto device = cuda::Device::open(o.device);
  if (!device) return fail(device.error(), o);
  auto artifact = cuda::Artifact::load(*device, o.path);
  if (!artifact) return fail(artifact.error(), o);
  const Contract& c = artifact->contract();
  Data data;
  const auto given = te::parse_dims(o.dims);
  if (!given) return fail(given.error(), o);
  for (const auto& [name, range] : *given) data.binding.dims[name] = range.min;
  Env env = data.binding.dims;
  env["sm_count"] = device->facts().sm_count;
  const auto bound = bind_dims(c, env);
  if (!bound) return fail(bound.error(), o);
  std::vector<std::string> inputs;
  for (const ContractBuffer& b : c.buffers)
    if (b.role == Role::input) inputs.push_back(b.name);
  const auto files = pairs(o.in, inputs, "input", "file.npy");
  if (!files) return fail(files.error(), o);
  for (const ContractBuffer& b : c.buffers) {
    if (b.role == Role::scalar) data.binding.scalars[b.name] = 1.0;
    if (b.role != Role::input && b.role != Role::output) continue;
    std::vector<std::int64_t> shape;
    for (const std::string& e : b.shape) {
      const auto extent = evaluate(e, *bound);
      if (!extent) return fail(extent.error(), o);
      shape.push_back(*extent);
    }
    auto tensor = files->count(b.name) ? read_npy_as(files->at(b.name), b.name, *b.dtype, shape) : make_tensor(*b.dtype, shape, b.name);
    if (!tensor) return fail(tensor.error(), o);
    if (b.role == Role::input && !files->count(b.name)) fill_random(*tensor, o.seed, b.name);
    (b.role == Role::input ? data.inputs : data.outputs)[b.name] = *std::move(tensor);
  }
  const auto times = run_cuda(*artifact, *device, data, o);
  if (!times) return fail(times.error(), o);
  if (Check saved = save(o, data); !saved) return fail(saved.error(), o);
  return report(o, data, *times, device->facts().name, 0);
}

}  // namespace

std::function<int()> add_run(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_input(app, *o);
  app.add_option("--in", o->in, "X=x.npy; inputs without a file are random");
  app.add_option("--out", o->out, "Y=y.npy");
  app.add_option("--set", o->set, "alpha=0.5, a scalar parameter (1 when not given)");
  add_schedule(app, *o);
  app.add_option("--seed", o->seed, "of the random inputs");
  app.add_flag("--verify", o->verify, "compare with the reference interpreter");
  app.add_flag("--bench", o->bench, "time it");
  app.add_flag("--interpret", o->interpret, "run the reference interpreter itself");
  return [o] { return o->path.ends_with(".json") && o->text.empty() ? run_artifact(*o) : run(*o); };
}

}  // namespace tecc::cli
