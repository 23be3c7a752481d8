#include "python_free_cli/execute.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "autotune/measure/compare.h"
#include "autotune/record/conditions.h"
#include "ir/base/files.h"
#include "ir/base/median.h"
#include "ir/interpret/te.h"
#include "ir/simulate/simulate.h"
#include "runtime/cuda/time.h"
#include "runtime/npy.h"

namespace tecc::cli {
namespace {

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

/// Where a tensor begins in memory that is aligned to 256 bytes: where a caller promises less than usual, no better than promised, so that
/// a run shows whether the kernel keeps to it.
std::size_t beyond(const Contract& c, const std::string& name) {
  const ContractBuffer* b = c.find_buffer(name);
  return b && b->align < 16 ? static_cast<std::size_t>(b->align) : 0;
}

Array to_array(const HostTensor& t) {
  Array a(t.dtype, t.shape);
  std::memcpy(a.data.data(), t.bytes.data(), t.bytes.size());
  return a;
}

}  // namespace

Result<Data> prepare(const autotune::TaskSpec& task, const RunOptions& o) {
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

Result<Times> run_cpu(const Contract& contract, const std::string& folder, const CpuCall::Lookup& lookup, const autotune::TaskSpec& task, Data& data, const RunOptions& o) {
  // Aligned copies: the contract asks for more than a vector of bytes gives.
  std::vector<std::shared_ptr<unsigned char>> rooms;
  const auto room = [&](const std::string& name, HostTensor& t) {
    const std::size_t before = beyond(contract, name);
    rooms.emplace_back(static_cast<unsigned char*>(std::aligned_alloc(256, (before + t.bytes.size() + 256) / 256 * 256)), std::free);
    if (!rooms.back()) return false;
    unsigned char* memory = rooms.back().get() + before;
    std::memcpy(memory, t.bytes.data(), t.bytes.size());
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
    times.us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    spent_us += times.us.back();
  }
  return times;
}

Result<Times> run_cuda(cuda::Artifact& artifact, const cuda::Device& device, const autotune::TaskSpec& task, Data& data, const RunOptions& o) {
  std::vector<cuda::Memory> memory;
  const auto upload = [&](const std::string& name, const HostTensor& t) -> Check {
    const auto before = static_cast<std::int64_t>(beyond(artifact.contract(), name)), bytes = static_cast<std::int64_t>(t.bytes.size());
    TECC_TRY(cuda::Memory m, cuda::Memory::allocate(before + bytes, name));
    TECC_CHECK(m.upload(t.bytes.data(), bytes, before));
    data.binding.buffers[name] = {m.address() + static_cast<std::uint64_t>(before), bytes};
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
  for (auto& [name, t] : data.outputs) TECC_CHECK(memory[first++].download(t.bytes.data(), static_cast<std::int64_t>(t.bytes.size()), static_cast<std::int64_t>(beyond(artifact.contract(), name))));
  if (!o.bench) return Times{};
  return cuda::time_us(device, [&](const cuda::Stream& s) { return call.launch(s); });
}

namespace {

std::vector<Array> arrays_of(const Data& data) {
  std::vector<Array> out;
  for (const HostTensor& x : data.inputs) out.push_back(to_array(x));
  return out;
}
void keep(const loop::Program& p, const std::vector<Array>& made, Data& data) {
  for (std::size_t n = 0; n < made.size(); ++n) {
    HostTensor& t = data.outputs.at(p[p.outputs[n]].name);
    std::memcpy(t.bytes.data(), made[n].data.data(), t.bytes.size());
  }
}

}  // namespace

Check run_interpreter(const codegen::Workload& w, Data& data) {
  const std::map<std::string, std::int64_t> dims(data.binding.dims.begin(), data.binding.dims.end());
  TECC_TRY(const std::vector<Array> made, tecc::interpret(w.bound, dims, arrays_of(data)));
  keep(w.naive, made, data);
  return Ok{};
}

Result<std::string> run_simulator(const loop::Program& threaded, Data& data, const RunOptions& o) {
  const std::map<std::string, std::int64_t> dims(data.binding.dims.begin(), data.binding.dims.end());
  SimulateOptions options;
  options.seed = static_cast<std::uint32_t>(o.seed);
  TECC_TRY(const SimulateRun run, tecc::simulate(threaded, dims, arrays_of(data), options));
  keep(threaded, run.outputs, data);
  return fmt::format("the simulator: {} statement instances, {} asynchronous operations, no race", run.instances, run.operations);
}

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

Check save(const RunOptions& o, const Data& data) {
  for (const std::string& pair : o.out) {
    const std::size_t eq = pair.find('=');
    TECC_CHECK(write_npy(pair.substr(eq + 1), data.outputs.at(pair.substr(0, eq))));
  }
  return Ok{};
}

double flops_at(loop::Program p, const autotune::TaskSpec& task) {
  for (auto& [v, range] : p.dims) range = {task.dims.at(p.vars[v].name), task.dims.at(p.vars[v].name), 1};
  return codegen::flops_of(p);
}

int report(const RunOptions& o, const Data& data, Times times, const std::string& where, std::optional<double> flops) {
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
  if (!times.us.empty()) {
    const double us = median(times.us);
    const std::string chip = times.chip ? autotune::text(*times.chip) : "";
    if (o.json) {
      j["median_us"] = us;
      if (times.chip) j["chip"] = autotune::to_json(*times.chip);
      if (flops) j["gflops"] = *flops / us / 1e3;
    } else {
      fmt::print("{:.1f} us (median of {}){} on {}{}\n", us, times.us.size(), flops ? fmt::format(", {:.1f} GFLOP/s", *flops / us / 1e3) : "", where,
                 chip.empty() ? "" : fmt::format(" ({})", chip));
    }
  }
  if (o.json) fmt::print("{}\n", j.dump(2));
  return 0;
}

std::int64_t usual(std::int64_t min, std::int64_t max, std::int64_t multiple_of) {
  const std::int64_t value = std::max<std::int64_t>(min, (100 + multiple_of - 1) / multiple_of * multiple_of);
  return value <= max ? value : max / multiple_of * multiple_of;
}

Result<codegen::Workload> expression_of(const Contract& c, const std::string& folder, const std::map<std::string, te::DimRange>& given) {
  const std::string path = folder + "/" + c.expression.value_or("(no expression)");
  TECC_TRY(const std::string text, read_file(path));
  TECC_TRY(const std::vector<te::Kernel> kernels, te::parse({intern(path.c_str()), text}));
  te::Bindings bindings{given, {c.types.begin(), c.types.end()}};
  constexpr std::int64_t usual_align = 16;
  for (const ContractBuffer& b : c.buffers)
    if ((b.role == Role::input || b.role == Role::output) && b.align != usual_align) bindings.align[b.name] = b.align;
  for (const ContractDim& d : c.dims) bindings.dims[d.name] = {d.value.value_or(d.min), d.value.value_or(d.max), d.multiple_of};
  for (const te::Kernel& k : kernels)
    if (k.name == c.name) return codegen::make_workload(k, bindings);
  return refuse(Code::which_kernel, path, c.name, kernels.empty() ? "none" : kernels[0].name);
}

}  // namespace tecc::cli
