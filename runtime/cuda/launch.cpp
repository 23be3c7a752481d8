#include "runtime/cuda/launch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "ir/base/files.h"

namespace tecc::cuda {
namespace {

ScalarBits address_bits(Address address) {
  ScalarBits out;
  std::memcpy(out.bytes, &address, sizeof address);
  return out;
}

/// Where an argument points: the buffer's address plus its offset.
Result<Address> pointer(const std::string& buffer, const std::string& offset, const Env& env, const Binding& binding) {
  TECC_TRY(const std::int64_t bytes, evaluate(offset, env));
  return binding.buffers.find(buffer)->second.address +
         static_cast<Address>(bytes);  // verify() saw that the name is a buffer
}

Result<TiledMap> tiled(const TensorMapArg& arg, const Env& env, const Binding& binding) {
  const TensorMapCodes c = codes(arg);
  TiledMap m{c.type, c.interleave, c.swizzle, c.l2_promotion, c.oob_fill, 0, {}, {}, {}, {}};
  TECC_TRY(m.address, pointer(arg.buffer, arg.offset_bytes, env, binding));
  for (const std::string& f : arg.dims) {
    TECC_TRY(const std::int64_t n, evaluate(f, env));
    m.dims.push_back(static_cast<std::uint64_t>(n));
  }
  for (const std::string& f : arg.strides_bytes) {
    TECC_TRY(const std::int64_t n, evaluate(f, env));
    m.strides_bytes.push_back(static_cast<std::uint64_t>(n));
  }
  for (const std::int64_t n : arg.box) m.box.push_back(static_cast<std::uint32_t>(n));
  for (const std::int64_t n : arg.element_strides) m.element_strides.push_back(static_cast<std::uint32_t>(n));
  return m;
}

Result<LaunchShape> shape_of(const CudaLaunch& l, const Env& env) {
  LaunchShape s;
  for (int d = 0; d < 3; ++d) {
    TECC_TRY(const std::int64_t n, evaluate(l.grid[d], env));
    constexpr std::int64_t most = 2147483647;
    if (n < 0 || n > most) return refuse(Code::formula_value, l.grid[d], fmt::format("{} is no extent of a grid", n));
    s.grid[d] = static_cast<std::uint32_t>(n);
    s.block[d] = static_cast<std::uint32_t>(l.block[d]);
    s.cluster[d] = static_cast<std::uint32_t>(l.cluster[d]);
  }
  s.shared_bytes = static_cast<std::uint32_t>(l.shared_bytes);
  s.cooperative = l.cooperative;
  s.programmatic_dependent = l.programmatic_dependent;
  return s;
}

}  // namespace

Check Call::enqueue(const std::vector<Step>& steps, const Stream& stream) {
  for (const Step& s : steps) {
    if (s.empty) continue;
    std::vector<void*> parameters;
    for (const Step::Argument& a : s.arguments)  // the driver reads them only
      parameters.push_back(const_cast<unsigned char*>(a.is_map ? a.map.bytes : a.scalar.bytes));
    TECC_CHECK(cuda::launch(s.function, s.shape, stream, parameters.data()));
  }
  return Ok{};
}

Check Call::launch(const Stream& stream) const {
  for (const std::size_t i : cleared_) TECC_CHECK(kept_[i].fill_async(0, stream));
  return enqueue(steps_, stream);
}

std::string Call::text() const {
  std::string out;
  for (const Step& s : steps_)
    out += fmt::format("{}{} grid {} block {} cluster {} shared {}", out.empty() ? "" : "\n", s.function.name,
                       fmt::join(s.shape.grid, " "), fmt::join(s.shape.block, " "), fmt::join(s.shape.cluster, " "),
                       s.shape.shared_bytes);
  return out;
}

Result<Artifact> Artifact::load(const Device& device, const std::string& json_path) {
  TECC_TRY(Contract contract, read_contract(json_path));
  Artifact out(device, std::move(contract));
  const std::filesystem::path folder = std::filesystem::path(json_path).parent_path();
  out.folder_ = folder.empty() ? std::string(".") : folder.string();
  return out;
}

Artifact Artifact::of(const Device& device, Contract contract, std::map<std::string, std::string> images) {
  Artifact out(device, std::move(contract));
  out.images_ = std::move(images);
  return out;
}

Result<std::string> Artifact::file(const std::string& name) const {
  if (const auto found = images_.find(name); found != images_.end()) return found->second;
  if (folder_.empty()) return refuse(Code::file_unreadable, name, "it was not given with the contract");
  return read_file(fmt::format("{}/{}", folder_, name));
}

Result<std::shared_ptr<const Module>> Artifact::module(const CudaLaunch& launch, ImageFit fit) {
  if (fit == ImageFit::ptx && !launch.ptx)
    return refuse(Code::image_arch, launch.kernel, "an older chip and has no PTX", device_.facts().arch());
  const std::string& name = fit == ImageFit::ptx ? *launch.ptx : launch.image;
  std::shared_ptr<const Module>& slot = modules_[name];
  if (slot) return slot;
  TECC_TRY(const std::string image, file(name));
  TECC_TRY(Module loaded, Module::load(image, name));
  slot = std::make_shared<const Module>(std::move(loaded));
  return slot;
}

Result<Call::Step> Artifact::step(const CudaLaunch& l, ImageFit fit, const Env& env, const Binding& binding,
                                  Call& call) {
  TECC_TRY(const std::shared_ptr<const Module> loaded, module(l, fit));
  call.modules_.push_back(loaded);
  Call::Step s;
  TECC_TRY(s.function, loaded->function(l.kernel, l.shared_bytes, l.cluster[0] * l.cluster[1] * l.cluster[2]));
  TECC_TRY(s.shape, shape_of(l, env));
  s.empty = std::count(s.shape.grid.begin(), s.shape.grid.end(), 0u) > 0;
  for (const LaunchArg& arg : l.args) {
    Call::Step::Argument out;
    if (const auto* buffer = std::get_if<BufferArg>(&arg)) {
      TECC_TRY(const Address address, pointer(buffer->buffer, buffer->offset_bytes, env, binding));
      out.scalar = address_bits(address);
    } else if (const auto* scalar = std::get_if<ScalarArg>(&arg)) {
      TECC_TRY(out.scalar, scalar_bits(*scalar, contract_, env, binding));
    } else if (!s.empty) {  // the driver refuses maps of empty tensors
      const TensorMapArg& map = std::get<TensorMapArg>(arg);
      TECC_TRY(const TiledMap m, tiled(map, env, binding));
      TECC_TRY(out.map, encode(m, map.buffer));
      out.is_map = true;
    }
    s.arguments.push_back(out);
  }
  return s;
}

Result<Call> Artifact::bind(const Binding& given) {
  TECC_CHECK(device_.use());
  Env dims = given.dims;
  dims["sm_count"] = device_.facts().sm_count;
  TECC_TRY(const Env env, bind_dims(contract_, dims));
  TECC_CHECK(check_buffers(contract_, env, given));

  Call call;
  Binding all = given;  // and what the launcher itself provides
  for (const ContractBuffer& b : contract_.buffers) {
    if (b.role != Role::workspace && b.role != Role::constant) continue;
    TECC_TRY(const std::int64_t bytes, evaluate(b.bytes, env));
    TECC_TRY(Memory memory, Memory::allocate(bytes, b.name));
    if (b.role == Role::constant) {
      TECC_TRY(const std::string content, constant_bytes(b, folder_, env));
      TECC_CHECK(memory.upload(content.data(), static_cast<std::int64_t>(content.size())));
    } else {
      TECC_CHECK(memory.fill(0));  // all of them: reading what was never written then gives the same every time
      if (b.zero_before && !b.zero_after) call.cleared_.push_back(call.kept_.size());
    }
    all.buffers[b.name] = {memory.address(), bytes};
    call.kept_.push_back(std::move(memory));
  }

  std::vector<std::uint64_t> addresses;
  for (const ContractBuffer& b : contract_.buffers) {
    const auto found = all.buffers.find(b.name);
    addresses.push_back(found == all.buffers.end() ? 0 : found->second.address);
  }
  const CudaTarget target{device_.facts().major, device_.facts().minor};
  TECC_TRY(const Variant* variant, select_variant(contract_, target, env, addresses));
  const ImageFit fit = image_fit(std::get<CudaIsa>(variant->target), target);
  for (const bool once : {true, false})
    for (const Launch& l : once ? variant->once : variant->launches) {
      TECC_TRY(Call::Step s, step(std::get<CudaLaunch>(l), fit, env, all, call));
      (once ? call.once_ : call.steps_).push_back(std::move(s));
    }
  if (!call.once_.empty()) {
    const Stream stream;
    TECC_CHECK(Call::enqueue(call.once_, stream));
    TECC_CHECK(stream.synchronize());
  }
  return call;
}

}  // namespace tecc::cuda
