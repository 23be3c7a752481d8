#include "runtime/cuda/launch.h"

#include <algorithm>
#include <iostream>

#include "codegen/c_header.h"
#include "codegen/cuda/nvrtc.h"
#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "runtime/cuda/time.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

// y += a * x; and counts its blocks in a ticket that it leaves at zero again, as contracts with zero_after promise.
const char* const saxpy = R"(
struct alignas(64) TensorMap { char bytes[128]; };
extern "C" __global__ void __launch_bounds__(256) saxpy(const float* x, float* y, unsigned* ticket, unsigned* dirty, float a, int n) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
  if (threadIdx.x == 0) {
    atomicAdd(dirty, 1u);
    if (atomicAdd(ticket, 1u) == gridDim.x - 1) *ticket = 0;
  }
}
extern "C" __global__ void spread(const unsigned* dirty, unsigned* count) { *count = *dirty; }
extern "C" __global__ void __cluster_dims__(1, 1, 1) tile(const __grid_constant__ TensorMap map, float* out) {
  __shared__ alignas(128) float box[8 * 32];
  __shared__ alignas(8) unsigned long long barrier;
  const unsigned at = __cvta_generic_to_shared(box), bar = __cvta_generic_to_shared(&barrier);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared.b64 [%0], 1;" :: "r"(bar));
    asm volatile("fence.mbarrier_init.release.cluster;");
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], 1024;" :: "r"(bar) : "memory");
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 :: "r"(at), "l"(&map), "r"(32), "r"(8), "r"(bar) : "memory");
  }
  __syncthreads();
  asm volatile("{ .reg .pred p; WAIT: mbarrier.try_wait.parity.shared.b64 p, [%0], 0; @!p bra WAIT; }" :: "r"(bar) : "memory");
  for (int i = threadIdx.x; i < 256; i += blockDim.x) out[i] = box[i];
})";

bool absent() {
  const Result<int> count = cuda::device_count();
  if (count && *count > 0 && nvrtc_available()) return false;
  std::cout << (count && *count > 0 ? "skipped: no NVRTC\n" : "skipped: no CUDA device\n");
  return true;
}

Contract saxpy_contract(const std::string& arch) {
  Contract c;
  c.name = "saxpy";
  c.tecc_version = "test";
  c.dims = {{"n", std::nullopt, 1, 1 << 24, 1}};
  const auto tensor = [](const char* name, Role role, DType type, const char* extent) {
    ContractBuffer b;
    b.name = name;
    b.role = role;
    b.dtype = type;
    if (role != Role::scalar) b.shape = {extent}, b.strides = {"1"}, b.align = 4;
    return b;
  };
  const auto workspace = [](const char* name, bool zero_after) {
    ContractBuffer b;
    b.name = name;
    b.role = Role::workspace;
    b.bytes = "4";
    b.align = 256;
    b.zero_before = true;
    b.zero_after = zero_after;
    return b;
  };
  c.buffers = {tensor("x", Role::input, DType::f32, "n"),
               tensor("a", Role::scalar, DType::f32, ""),
               tensor("y", Role::inout, DType::f32, "n"),
               tensor("count", Role::output, DType::i32, "1"),
               workspace("ticket", true),
               workspace("dirty", false)};
  CudaLaunch first{"saxpy", "saxpy.cubin", "saxpy.ptx"};
  first.grid = {"ceildiv(n,256)", "1", "1"};
  first.block = {256, 1, 1};
  first.args = {BufferArg{"x"},
                BufferArg{"y"},
                BufferArg{"ticket"},
                BufferArg{"dirty"},
                ScalarArg{DType::f32, "a"},
                ScalarArg{DType::i32, "n"}};
  CudaLaunch second{"spread", "saxpy.cubin", "saxpy.ptx"};
  second.args = {BufferArg{"dirty"}, BufferArg{"count"}};
  second.programmatic_dependent = false;
  c.variants = {{CudaIsa{arch, false}, {}, {}, {first, second}}};
  return c;
}

cuda::Memory on_device(const std::vector<float>& values) {
  cuda::Memory m = cuda::Memory::allocate(static_cast<std::int64_t>(values.size()) * 4, "test").or_throw();
  m.upload(values.data(), m.bytes()).or_throw();
  return m;
}
template <class T> std::vector<T> on_host(const cuda::Memory& m) {
  std::vector<T> out(static_cast<std::size_t>(m.bytes()) / sizeof(T));
  m.download(out.data(), m.bytes()).or_throw();
  return out;
}
BoundBuffer bound(const cuda::Memory& m) { return {m.address(), m.bytes()}; }

TEST_CASE("gpu: a device is open and describes itself", "[gpu]") {
  if (absent()) return;
  const cuda::Device device = cuda::Device::open().or_throw();
  const cuda::DeviceFacts& f = device.facts();
  CHECK(f.sm_count > 0);
  CHECK(f.major >= 5);
  CHECK(f.shared_per_block_optin >= 48 * 1024);
  CHECK(f.registers_per_sm >= 32768);
  CHECK(f.memory_bytes > device.free_bytes().or_throw());
  CHECK(f.uuid.size() == 36);
  const auto none = cuda::Device::open(1000);
  REQUIRE_FALSE(none);
  CHECK(number(none.error().code) == "E0604");
}

TEST_CASE("gpu: saxpy from CUDA text to numbers, through files and the contract", "[gpu]") {
  if (absent()) return;
  const cuda::Device device = cuda::Device::open().or_throw();
  const std::string arch = device.facts().arch();
  const bool tma = device.facts().major >= 9;
  const std::string source =
      tma ? saxpy
          : std::string(saxpy).substr(0, std::string(saxpy).find("extern \"C\" __global__ void __cluster_dims__"));
  const Compiled code = compile(source, "saxpy.cu", arch).or_throw();
  const TemporaryFolder folder;
  write_files(folder.path,
              {{"saxpy.json", to_json(saxpy_contract(arch))}, {"saxpy.cubin", code.cubin}, {"saxpy.ptx", code.ptx}})
      .or_throw();

  const int n = 100000;
  std::vector<float> x(n), y(n);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i % 97), y[i] = static_cast<float>(i % 31);
  const cuda::Memory dx = on_device(x), dy = on_device(y), dcount = on_device({0});
  cuda::Artifact artifact = cuda::Artifact::load(device, folder.path + "/saxpy.json").or_throw();
  const Binding binding = {{{"x", bound(dx)}, {"y", bound(dy)}, {"count", bound(dcount)}}, {{"n", n}}, {{"a", 2.0}}};
  const cuda::Call call = artifact.bind(binding).or_throw();
  CHECK(
      call.text() ==
      "saxpy grid 391 1 1 block 256 1 1 cluster 1 1 1 shared 0\nspread grid 1 1 1 block 1 1 1 cluster 1 1 1 shared 0");
  const cuda::Stream stream = cuda::Stream::create().or_throw();
  for (int twice = 0; twice < 2; ++twice) call.launch(stream).or_throw();
  stream.synchronize().or_throw();
  const std::vector<float> got = on_host<float>(dy);
  int wrong = 0;
  for (int i = 0; i < n; ++i) wrong += got[i] != y[i] + 4 * x[i];
  CHECK(wrong == 0);
  CHECK(on_host<int>(dcount)[0] == 391);  // of one call: the launcher cleared `dirty` before the second

  const std::vector<double> us =
      cuda::time_us(device, [&](const cuda::Stream& s) { return call.launch(s); }, {2, 70, true}).or_throw().us;
  CHECK(us.size() == 70);
  CHECK(*std::min_element(us.begin(), us.end()) > 0);
  CHECK(*std::max_element(us.begin(), us.end()) < 1e5);

  Binding outside = binding;
  outside.dims["n"] = n + 1;
  const auto r = artifact.bind(outside);
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0617: buffer 'x' of 'saxpy' has 400000 bytes and needs 400004");
}

TEST_CASE("gpu: a cubin of another chip is refused before the driver sees it; PTX carries over", "[gpu]") {
  if (absent()) return;
  const cuda::Device device = cuda::Device::open().or_throw();
  if (device.facts().major < 9) return;
  const char* const kernel = "extern \"C\" __global__ void one(float* x) { *x = 1; }";
  Contract c;
  c.name = "one";
  ContractBuffer b;
  b.name = "x";
  b.role = Role::output;
  b.dtype = DType::f32;
  c.buffers = {b};
  CudaLaunch l{"one", "one.cubin", "one.ptx"};
  l.args = {BufferArg{"x"}};
  c.variants = {{CudaIsa{"sm_80", false}, {}, {}, {l}}};
  const Compiled code = compile(kernel, "one.cu", "sm_80").or_throw();
  const cuda::Memory x = on_device({0});
  const Binding binding = {{{"x", bound(x)}}, {}, {}};
  const auto r = cuda::Artifact::of(device, c, {{"one.cubin", code.cubin}, {"one.ptx", code.ptx}}).bind(binding);
  REQUIRE_FALSE(r);
  const std::string arch = device.facts().arch();
  CHECK(render(r.error()) ==
        "error E0607: the image of kernel 'one' is for sm_80, the device is " + arch + "; build with -arch=" + arch);

  std::get<CudaIsa>(c.variants[0].target).forward_compatible = true;
  cuda::Artifact compatible = cuda::Artifact::of(device, c, {{"one.cubin", code.cubin}, {"one.ptx", code.ptx}});
  compatible.bind(binding).or_throw().launch({}).or_throw();
  device.synchronize().or_throw();
  CHECK(on_host<float>(x)[0] == 1);
}

TEST_CASE("gpu: a tensor map of the contract brings the box it names", "[gpu]") {
  if (absent()) return;
  const cuda::Device device = cuda::Device::open().or_throw();
  if (device.facts().major < 9) return;
  const std::string arch = device.facts().arch();
  const Compiled code = compile(saxpy, "saxpy.cu", arch).or_throw();
  Contract c;
  c.name = "tile";
  c.dims = {{"rows", 40}, {"columns", 100}};
  ContractBuffer in, out;
  in.name = "in", in.role = Role::input, in.dtype = DType::f32, in.shape = {"rows", "columns"},
  in.strides = {"columns", "1"}, in.align = 16;
  out.name = "out", out.role = Role::output, out.dtype = DType::f32, out.shape = {"8", "32"}, out.strides = {"32", "1"},
  out.align = 16;
  c.buffers = {in, out};
  TensorMapArg map;
  map.buffer = "in";
  map.dims = {"columns", "rows"};
  map.strides_bytes = {"4*columns"};
  map.box = {32, 8};
  map.element_strides = {1, 1};
  CudaLaunch l{"tile", "t.cubin"};
  l.block = {64, 1, 1};
  l.args = {map, BufferArg{"out"}};
  c.variants = {{CudaIsa{arch, false}, {}, {}, {l}}};
  verify(c).or_throw();
  std::vector<float> values(4000);
  for (int i = 0; i < 4000; ++i) values[i] = static_cast<float>(i);
  const cuda::Memory a = on_device(values), b = on_device(std::vector<float>(256));
  cuda::Artifact artifact = cuda::Artifact::of(device, c, {{"t.cubin", code.cubin}});
  artifact.bind({{{"in", bound(a)}, {"out", bound(b)}}, {}, {}}).or_throw().launch({}).or_throw();
  device.synchronize().or_throw();
  const std::vector<float> got = on_host<float>(b);
  int wrong = 0;
  for (int i = 0; i < 256; ++i) wrong += got[i] != static_cast<float>((8 + i / 32) * 100 + 32 + i % 32);
  CHECK(wrong == 0);
}

TEST_CASE("gpu: the generated C header and example run the artifact", "[gpu]") {
  if (absent()) return;
  const cuda::Device device = cuda::Device::open().or_throw();
  const std::string arch = device.facts().arch(), text(saxpy);
  const Compiled code =
      compile(text.substr(0, text.find("extern \"C\" __global__ void __cluster_dims__")), "saxpy.cu", arch).or_throw();
  const Contract c = saxpy_contract(arch);
  const TemporaryFolder f;
  write_files(
      f.path,
      {{"saxpy.h", c_header(c)}, {"example.c", example_c(c)}, {"saxpy.cubin", code.cubin}, {"saxpy.ptx", code.ptx}})
      .or_throw();
  if (std::system("command -v cc > /dev/null 2>&1") != 0) {
    std::cout << "skipped: no C compiler\n";
    return;
  }
  CHECK(std::system(
            ("cd " + f.path + " && cc -std=c99 example.c -o example -ldl && ./example . > out.txt 2>&1").c_str()) == 0);
  CHECK(read_file(f.path + "/out.txt").or_throw() == "saxpy: done\n");
}

}  // namespace
}  // namespace tecc
