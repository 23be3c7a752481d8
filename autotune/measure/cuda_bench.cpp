#include <algorithm>

#include "autotune/measure/compare.h"
#include "autotune/measure/serve.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/time.h"

namespace tecc::autotune {
namespace {

using cuda::Memory;

constexpr std::int64_t guard_bytes = 64 << 10;  // on both sides: a tile that runs over lands here
constexpr unsigned char poison = 0xff;          // a NaN in every float type, -1 in every integer

std::int64_t size_of(DType type, const std::vector<std::int64_t>& shape) {
  std::int64_t n = bytes_of(type);
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

/// Device memory between two guard zones, filled with poison. Reads outside of the buffer give NaN, writes are found.
struct Guarded {
  std::string name;
  Memory memory;
  std::int64_t bytes = 0, room = 0;  // room: rounded up, so that the second zone is aligned

  static Result<Guarded> make(const std::string& name, std::int64_t bytes) {
    Guarded g{name, {}, bytes, (bytes + 255) / 256 * 256};
    TECC_TRY(g.memory, Memory::allocate(g.room + 2 * guard_bytes, name));
    TECC_CHECK(g.memory.fill(poison));
    return g;
  }
  BoundBuffer bound() const { return {memory.address() + guard_bytes, bytes}; }
  Check upload(const void* from) const { return upload(from, bytes); }
  Check upload(const void* from, std::int64_t some) const { return some ? memory.upload(from, some, guard_bytes) : Check(Ok{}); }
  Check download(void* to) const { return bytes ? memory.download(to, bytes, guard_bytes) : Check(Ok{}); }
  /// An injected fault: the first elements are poison again.
  Check spoil() const {
    const std::vector<unsigned char> some(static_cast<std::size_t>(std::min<std::int64_t>(64, bytes)), poison);
    return upload(some.data(), static_cast<std::int64_t>(some.size()));
  }
  Check intact() const {
    for (const bool after : {false, true}) {
      const std::int64_t from = after ? guard_bytes + bytes : 0, length = after ? guard_bytes + room - bytes : guard_bytes;
      std::vector<unsigned char> zone(static_cast<std::size_t>(length));
      TECC_CHECK(memory.download(zone.data(), length, from));
      for (std::int64_t n = 0; n < length; ++n)
        if (zone[static_cast<std::size_t>(n)] != poison)
          return refuse(Code::guard_touched, name, after ? n : guard_bytes - n, after ? "after its end" : "before its begin");
    }
    return Ok{};
  }
};

class CudaBench final : public Bench {
 public:
  Result<Device> prepare(const Message& m) override {
    TECC_TRY(device_, cuda::Device::open(m.at("device").get<int>()));
    task_ = task_from(m.at("task"));
    TECC_TRY(const Contract contract, parse_contract(m.at("contract").get<std::string>(), "reference"));
    for (const InputSpec& i : task_.inputs) {
      if (i.by_value) {
        const double v = scalar_input(i);
        if (is_float(i.type)) binding_.scalars[i.name] = v;
        else binding_.scalars[i.name] = static_cast<std::int64_t>(v);
        continue;
      }
      TECC_TRY(const HostTensor x, random_input(i, task_.seed));
      TECC_TRY(Guarded g, Guarded::make(i.name, static_cast<std::int64_t>(x.bytes.size())));
      TECC_CHECK(g.upload(x.bytes.data()));
      binding_.buffers[i.name] = g.bound();
      inputs_.push_back(std::move(g));
    }
    binding_.dims = Env(task_.dims.begin(), task_.dims.end());
    TECC_CHECK(run_reference(contract, m));
    for (const OutputSpec& o : task_.outputs) {
      TECC_TRY(Guarded g, Guarded::make(o.name, size_of(o.type, o.shape)));
      binding_.buffers[o.name] = g.bound();
      outputs_.push_back(std::move(g));
    }
    TECC_CHECK(bind_agreement(m));
    return Device{device_.facts().name, device_.facts().uuid};
  }

  Result<std::unique_ptr<Loaded>> load(const Message& m) override {
    TECC_TRY(const Contract contract, parse_contract(m.at("contract").get<std::string>(), "candidate"));
    std::map<std::string, std::string> images;
    for (const auto& [file, bytes] : m.at("images").items()) images[file] = unpack(bytes);
    cuda::Artifact artifact = cuda::Artifact::of(device_, contract, std::move(images));
    TECC_TRY(cuda::Call call, artifact.bind(binding_));
    return std::unique_ptr<Loaded>(std::make_unique<OnDevice>(*this, std::move(call)));
  }

  Result<std::vector<cuda::Timed>> time_in_turns(std::span<Loaded* const> candidates, std::span<const std::size_t> order) override {
    std::vector<cuda::Work> works;
    for (Loaded* one : candidates) works.push_back(static_cast<const OnDevice*>(one)->work());
    return cuda::time_in_turns(device_, works, order, {1, 0, true});
  }

 private:
  struct OnDevice final : Loaded {
    const CudaBench& bench;
    cuda::Call call;
    OnDevice(const CudaBench& b, cuda::Call c) : bench(b), call(std::move(c)) {}
    cuda::Work work() const {
      return [this](const cuda::Stream& s) { return call.launch(s); };
    }

    Check check(bool corrupt) override {
      for (const Guarded& g : bench.outputs_) TECC_CHECK(g.memory.fill(poison));
      const cuda::Stream stream;
      TECC_CHECK(call.launch(stream));
      TECC_CHECK(stream.synchronize());
      if (corrupt)
        for (const Guarded& g : bench.outputs_) TECC_CHECK(g.spoil());
      for (const Memory& m : bench.differences_) TECC_CHECK(m.fill(0));
      TECC_CHECK(bench.agreement_->launch(stream));
      TECC_CHECK(stream.synchronize());
      for (std::size_t n = 0; n < bench.outputs_.size(); ++n) {
        TECC_CHECK(bench.check_output(n));
        TECC_CHECK(bench.outputs_[n].intact());
      }
      for (const Guarded& g : bench.inputs_) TECC_CHECK(g.intact());
      return Ok{};
    }
    Result<cuda::Timed> time_us(int warmups, int runs) override {
      return cuda::time_us(bench.device_, work(), {warmups, runs, true});
    }
  };

  Check run_reference(const Contract& contract, const Message& m) {
    cuda::Artifact artifact = cuda::Artifact::of(device_, contract, {{"reference.cubin", unpack(m.at("image"))}});
    Binding b = binding_;
    std::vector<Guarded> results;
    for (const OutputSpec& o : task_.outputs) {
      TECC_TRY(Guarded g, Guarded::make(o.name, size_of(DType::f64, o.shape)));
      b.buffers[o.name] = g.bound();
      results.push_back(std::move(g));
    }
    for (const Guarded& g : results) TECC_CHECK(g.memory.fill(0));  // outside of a ragged domain there is nothing
    b.dims.clear();
    TECC_TRY(const cuda::Call call, artifact.bind(b));
    const cuda::Stream stream;
    TECC_CHECK(call.launch(stream));
    TECC_CHECK(stream.synchronize());
    expected_ = std::move(results);
    return Ok{};
  }

  Check bind_agreement(const Message& m) {
    TECC_TRY(const Contract contract, parse_contract(m.at("agreement").get<std::string>(), "agreement"));
    cuda::Artifact artifact = cuda::Artifact::of(device_, contract, {{"agreement.cubin", unpack(m.at("agreement_image"))}});
    Binding b;
    for (std::size_t n = 0; n < outputs_.size(); ++n) {
      static_assert(sizeof(Difference) == 5 * sizeof(double), "the kernels of codegen/cuda/agreement write five numbers");
      TECC_TRY(Memory difference, Memory::allocate(sizeof(Difference), outputs_[n].name + ", its difference"));
      b.buffers["got_" + std::to_string(n)] = outputs_[n].bound();
      b.buffers["expected_" + std::to_string(n)] = expected_[n].bound();
      b.buffers["difference_" + std::to_string(n)] = {difference.address(), sizeof(Difference)};
      differences_.push_back(std::move(difference));
    }
    TECC_TRY(agreement_, artifact.bind(b));
    return Ok{};
  }

  /// What the device found is enough where it agrees. Else the host looks again, and says where and by how much.
  Check check_output(std::size_t n) const {
    const OutputSpec& o = task_.outputs[n];
    const std::int64_t count = expected_[n].bytes / 8;
    Difference d;
    TECC_CHECK(differences_[n].download(&d, sizeof d));
    if (agrees(d, o.type, count, task_.rtol, task_.exact_integers)) return Ok{};
    TECC_TRY(HostTensor got, make_tensor(o.type, o.shape, o.name));
    TECC_CHECK(outputs_[n].download(got.bytes.data()));
    Expected e;
    if (is_float(o.type)) e.real.resize(static_cast<std::size_t>(count));
    else e.integer.resize(static_cast<std::size_t>(count));
    TECC_CHECK(expected_[n].download(is_float(o.type) ? static_cast<void*>(e.real.data()) : e.integer.data()));
    return compare(o.name, got, e, task_.rtol, task_.exact_integers);
  }

  cuda::Device device_;
  TaskSpec task_;
  Binding binding_;
  std::vector<Guarded> inputs_, outputs_, expected_;  // expected: in f64 or i64
  std::vector<Memory> differences_;
  std::optional<cuda::Call> agreement_;
};

}  // namespace

std::unique_ptr<Bench> cuda_bench() { return std::make_unique<CudaBench>(); }

}  // namespace tecc::autotune
