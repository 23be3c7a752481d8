#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/time.h"
#include "runtime/devices.h"
#include "tests/support/catch.h"
#include "tests/support/fake_libraries.h"
#include "tests/support/temporary_folder.h"

// The launcher on a machine without a GPU: the visible test builds tests/support/fake_cuda.c as libcuda.so.1 and runs the
// hidden ones in a process that finds it first.
namespace tecc {
namespace {

TEST_CASE("cuda launch: against a driver that prints what it is given") {
  const TemporaryFolder f;
  if (!test::build_fake_cuda(f.path)) return;
  char self[4096] = {};
  REQUIRE(::readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  const std::string run =
      "LD_LIBRARY_PATH=" + f.path + ":$LD_LIBRARY_PATH '" + self + "' '[fake-cuda]' > " + f.path + "/log 2>&1";
  const int status = std::system(run.c_str());
  const std::string log = read_file(f.path + "/log").or_throw();
  INFO(log);
  CHECK(status == 0);
  std::string said;
  for (std::size_t at = 0; (at = log.find("fake: ", at)) != std::string::npos;) {
    const std::size_t end = log.find('\n', at) + 1;
    said += log.substr(at, end - at);
    at = end;
  }
  CHECK(said ==
        "fake: load fake pack add mapped\n"
        "fake: add attribute 8 = 100000\nfake: add attribute 14 = 1\n"
        "fake: launch pack 1 1 1 of 1 shared 0\n"
        "fake: clear 8 bytes\n"
        "fake: launch add 7 1 1 of 128 shared 100000 [4: 16 1 1] [2: 1 0 0] [6: 1 0 0]\n"
        "fake: launch mapped 132 2 1 of 32 shared 0 map type 7 dims 100 7 stride 400 box 32 8 steps 1 1 words 0 3 2 0\n"
        "fake: load fake PTX add\n"
        "fake: launch add 1 1 1 of 1 shared 0\n"
        "fake: launch add 1 1 1 of 1 shared 0\n"
        "fake: launch add 1 1 1 of 1 shared 0\n");
}

ContractBuffer floats(const char* name, Role role, const char* count) {
  ContractBuffer b;
  b.name = name;
  b.role = role;
  b.dtype = DType::f32;
  b.shape = {count};
  b.strides = {"1"};
  b.align = 4;
  return b;
}
ContractBuffer workspace(const char* name, bool zero_after) {
  ContractBuffer b;
  b.name = name;
  b.role = Role::workspace;
  b.bytes = "8";
  b.zero_before = true;
  b.zero_after = zero_after;
  return b;
}

/// Kernels of the fake driver take (y, n, a[, map]) and add a to y[0..n).
CudaLaunch kernel(const char* name, const char* y, const char* n, double a) {
  CudaLaunch l;
  l.kernel = name;
  l.image = "a.cubin";
  l.args = {BufferArg{y}, ScalarArg{DType::i32, n}, ScalarArg{DType::f32, a}};
  return l;
}

Contract contract() {
  Contract c;
  c.name = "adder";
  c.dims = {{"n", std::nullopt, 1, 1000}};
  c.buffers = {floats("y", Role::inout, "n"), workspace("ticket", true), workspace("dirty", false)};
  CudaLaunch add = kernel("add", "y", "n", 2);
  add.args[2] = ScalarArg{DType::f32, "n"};
  add.grid = {"ceildiv(n,16)", "1", "1"};
  add.block = {128, 1, 1};
  add.cluster = {16, 1, 1};
  add.shared_bytes = 100000;
  add.cooperative = add.programmatic_dependent = true;
  CudaLaunch mapped = kernel("mapped", "dirty", "2", 1);
  mapped.grid = {"sm_count", "2", "1"};
  mapped.block = {32, 1, 1};
  TensorMapArg map;
  map.buffer = "y";
  map.dims = {"n", "7"};
  map.strides_bytes = {"4*n"};
  map.box = {32, 8};
  map.element_strides = {1, 1};
  map.swizzle = "128B";
  map.l2_promotion = "128B";
  mapped.args.push_back(map);
  CudaLaunch nothing = kernel("add", "y", "n", 1);
  nothing.grid[1] = "n-n";
  c.variants = {{CudaIsa{"sm_90a", false}, {}, {kernel("pack", "ticket", "2", 5)}, {add, mapped, nothing}}};
  c.variants[0].launches[2] = nothing;
  verify(c).or_throw();
  return c;
}

template <class T> std::string refusal(const Result<T>& r) { return r ? "" : render(r.error()); }

TEST_CASE("fake driver: bind, launch, workspaces", "[.][fake-cuda]") {
  ::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  const cuda::Device device = cuda::Device::open().or_throw();
  const std::vector<float> zeros(100);
  cuda::Memory y = cuda::Memory::allocate(400, "y").or_throw();
  y.upload(zeros.data(), 400).or_throw();
  cuda::Artifact artifact = cuda::Artifact::of(device, contract(), {{"a.cubin", "fake pack add mapped"}});
  Binding b = {{{"y", {y.address(), 400}}}, {{"n", 100}}, {}};
  const cuda::Call call = artifact.bind(b).or_throw();
  const cuda::Stream stream = cuda::Stream::create().or_throw();
  call.launch(stream).or_throw();
  stream.synchronize().or_throw();
  std::vector<float> got(100);
  y.download(got.data(), 400).or_throw();
  for (const float v : got) REQUIRE(v == 100);

  b.dims["n"] = 101;
  CHECK(refusal(artifact.bind(b)) == "error E0617: buffer 'y' of 'adder' has 400 bytes and needs 404");
  b.dims["n"] = 1001;
  CHECK(refusal(artifact.bind(b)) == "error E0615: dim 'n' is 1001; the contract of 'adder' allows 1..1000");
}

TEST_CASE("fake driver: what the driver refuses, in its words", "[.][fake-cuda]") {
  const cuda::Device device = cuda::Device::open().or_throw();
  CHECK(refusal(cuda::Device::open(3)) == "error E0604: no CUDA device 3; 1 found");
  CHECK(refusal(cuda::Memory::allocate(std::int64_t{1} << 31, "big")) ==
        "error E0612: cannot allocate 2147483648 bytes for 'big'");
  const cuda::Memory y = cuda::Memory::allocate(400, "y").or_throw();
  const Binding b = {{{"y", {y.address(), 400}}}, {{"n", 100}}, {}};
  CHECK(refusal(cuda::Artifact::of(device, contract(), {{"a.cubin", "ELF"}}).bind(b)) ==
        "error E0605: the CUDA driver refused to load 'a.cubin': device kernel image is invalid "
        "(CUDA_ERROR_INVALID_IMAGE)");
  CHECK(refusal(cuda::Artifact::of(device, contract(), {}).bind(b)) ==
        "error E0601: cannot read 'a.cubin': it was not given with the contract");
}

TEST_CASE("fake driver: other chips and PTX; time", "[.][fake-cuda]") {
  const cuda::Device device = cuda::Device::open().or_throw();
  const cuda::Memory y = cuda::Memory::allocate(400, "y").or_throw();
  const Binding b = {{{"y", {y.address(), 400}}}, {{"n", 100}}, {}};
  Contract c = contract();
  c.variants = {{CudaIsa{"sm_80", false}, {}, {}, {kernel("add", "y", "n", 1)}}};
  const std::map<std::string, std::string> images = {{"a.cubin", "fake cubin add"}, {"a.ptx", "fake PTX add"}};
  CHECK(refusal(cuda::Artifact::of(device, c, images).bind(b)) ==
        "error E0607: the image of kernel 'adder' is for sm_80, the device is sm_90; build with -arch=sm_90");
  std::get<CudaIsa>(c.variants[0].target).forward_compatible = true;
  c.buffers.resize(1);
  CHECK(refusal(cuda::Artifact::of(device, c, images).bind(b)) ==
        "error E0607: the image of kernel 'add' is for an older chip and has no PTX, the device is sm_90; build with "
        "-arch=sm_90");
  std::get<CudaLaunch>(c.variants[0].launches[0]).ptx = "a.ptx";
  cuda::Artifact artifact = cuda::Artifact::of(device, c, images);
  const cuda::Call call = artifact.bind(b).or_throw();
  const auto timed = cuda::time_us(device, [&](const cuda::Stream& s) { return call.launch(s); }, {1, 2, true}).or_throw();
  CHECK(timed.us == std::vector<double>{250, 250});
}

TEST_CASE("fake driver: devices", "[.][fake-cuda]") {
  const DeviceReport r = device_report("13.0");
  REQUIRE(r.cuda.size() == 1);
  CHECK(r.driver == "13.0");
  CHECK(r.cuda[0].name == "Fake 40");
  CHECK(r.cuda[0].uuid == "28282828-2828-2828-2828-282828282828");
  CHECK(r.cuda[0].cluster_launch);
}

TEST_CASE("cuda driver: E0603 where there is none") {
  if (cuda::api()) return;
  CHECK(refusal(cuda::Device::open()).starts_with("error E0603: no CUDA driver: "));
  CHECK(refusal(cuda::device_count()) == refusal(cuda::Device::open()));
}

}  // namespace
}  // namespace tecc
