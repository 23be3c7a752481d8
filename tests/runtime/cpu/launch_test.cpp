#include "runtime/cpu/launch.h"

#include <algorithm>
#include <cstring>

#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "tests/support/catch.h"
#include "tests/support/contracts.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

/// The code of cpu_contract, as tecc would emit it.
std::int32_t axpy(void* const* buffers, const std::int64_t* dims, std::int64_t task) {
  const auto* x = static_cast<const float*>(buffers[0]);
  const float alpha = *static_cast<const float*>(buffers[1]);
  auto* y = static_cast<float*>(buffers[2]);
  auto* ws = static_cast<float*>(buffers[3]);
  if (ws[task] != 0) return 7;  // the workspace must be clear at every call
  ws[task] = 1;
  for (std::int64_t i = task * dims[1]; i < std::min(dims[0], (task + 1) * dims[1]); ++i) y[i] += alpha * x[i];
  return 0;
}

struct Arrays {
  alignas(64) float x[1024] = {}, y[1024] = {};
  Binding binding(std::int64_t n) {
    return {{{"x", {reinterpret_cast<std::uint64_t>(x), 4096}}, {"y", {reinterpret_cast<std::uint64_t>(y), 4096}}},
            {{"n", n}},
            {{"alpha", 0.5}}};
  }
};
const CpuCall::Lookup lookup = [](const CpuLaunch& l) { return l.symbol == "axpy_0" ? axpy : nullptr; };

std::string refusal(const Contract& c, const Binding& b, const CpuCall::Lookup& find = lookup) {
  const auto r = CpuCall::bind(c, ".", b, find);
  return r ? "" : render(r.error());
}

TEST_CASE("cpu launch: an artifact's tasks run with its dims, scalars and clean workspaces") {
  const Contract c = parse_contract(cpu_contract, "axpy.json").or_throw();
  Arrays a;
  for (int i = 0; i < 1024; ++i) a.x[i] = static_cast<float>(i);
  const CpuCall call = CpuCall::bind(c, ".", a.binding(1000), lookup).or_throw();
  call.run().or_throw();
  call.run().or_throw();
  for (int i = 0; i < 1024; ++i) REQUIRE(a.y[i] == (i < 1000 ? static_cast<float>(i) : 0));
}

TEST_CASE("cpu launch: refusals, whole texts") {
  const Contract c = parse_contract(cpu_contract, "axpy.json").or_throw();
  Arrays a;
  CHECK(refusal(c, a.binding(3)) ==
        "error E0615: dim 'n' is 3; the contract of 'axpy' allows 4..1000000 in steps of 4");
  CHECK(refusal(c, a.binding(1028)) == "error E0617: buffer 'x' of 'axpy' has 4096 bytes and needs 4112");
  Binding b = a.binding(8);
  b.buffers.erase("y");
  CHECK(refusal(c, b) == "error E0617: buffer 'y' of 'axpy' was not given");
  b = a.binding(8);
  b.scalars.clear();
  CHECK(refusal(c, b) == "error E0617: buffer 'alpha' of 'axpy' is a scalar that was not given");
  b = a.binding(8);
  b.buffers["y"].address += 4;
  CHECK(refusal(c, b) == "error E0617: buffer 'y' of 'axpy' is not 16-byte aligned");
  b = a.binding(8);
  b.buffers["y"].address = b.buffers["x"].address + 16;
  CHECK(refusal(c, b) == "error E0617: buffer 'y' of 'axpy' overlaps 'x'");
  b = a.binding(8);
  b.buffers["x"].address = 0;
  CHECK(refusal(c, b) == "error E0617: buffer 'x' of 'axpy' has no memory");
  CHECK(refusal(c, a.binding(8), [](const CpuLaunch&) { return nullptr; }) ==
        "error E0610: 'axpy' is not a launch contract: 'axpy.o' has no symbol 'axpy_0'");
  const Contract gpu = parse_contract(gemm_contract, "g").or_throw();
  CHECK(refusal(gpu, {{}, {{"N", 8}}, {{"alpha", 1.0}}}) == "error E0617: buffer 'A' of 'gemm_nt' was not given");
}

TEST_CASE("cpu launch: an input may lie where the contract lets the output alias it") {
  Contract c = parse_contract(cpu_contract, "axpy.json").or_throw();
  c.buffers[2].role = Role::output;
  Arrays a;
  Binding b = a.binding(8);
  b.buffers["y"] = b.buffers["x"];
  CHECK(refusal(c, b) == "error E0617: buffer 'y' of 'axpy' overlaps 'x'");
  c.buffers[2].may_alias = "x";
  CHECK(refusal(c, b) == "");
}

TEST_CASE("cpu launch: a constant comes from its file") {
  const TemporaryFolder f;
  write_file(f.path + "/w.bin", std::string(4, '\0') + std::string("\0\0\x80\x3f", 4)).or_throw();
  Contract c = parse_contract(cpu_contract, "axpy.json").or_throw();
  c.buffers[0].role = Role::constant;
  c.buffers[0].file = "w.bin";
  c.buffers[0].offset = "4";
  c.buffers[0].bytes = "4";
  c.dims[0] = ContractDim{"n", 1};
  Arrays a;
  Binding b = a.binding(1);
  CpuCall::bind(c, f.path, b, lookup).or_throw().run().or_throw();
  CHECK(a.y[0] == 0.5f);
  c.buffers[0].bytes = "8";
  const auto r = CpuCall::bind(c, f.path, b, lookup);
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0601: cannot read '" + f.path + "/w.bin': it has 8 bytes, 'x' needs 8 from 4");
}

TEST_CASE("cpu launch: E0618 names the task and its code") {
  const CpuFunction failing = [](void* const*, const std::int64_t*, std::int64_t task) {
    return task == 5 ? std::int32_t{-3} : 0;
  };
  const auto r = run_cpu("f", failing, nullptr, nullptr, 9);
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0618: 'f' failed in task 5 with code -3");
}

TEST_CASE("scalar arguments: values in the parameter's type") {
  const Contract c = parse_contract(gemm_contract, "g").or_throw();
  const Binding b{{}, {}, {{"alpha", 1.0 / 3}}};
  const Env env = {{"M", 5}, {"big", 1}};
  const auto get = [&]<class T>(ScalarArg arg, T into) {
    const ScalarBits bits = scalar_bits(arg, c, env, b).or_throw();
    std::memcpy(&into, bits.bytes, sizeof into);
    return into;
  };
  CHECK(get({DType::i32, "M*2"}, std::int32_t{}) == 10);
  CHECK(get({DType::i64, "-M"}, std::int64_t{}) == -5);
  CHECK(get({DType::f32, "alpha"}, float{}) == 1.0f / 3);
  CHECK(get({DType::f64, "alpha"}, double{}) == static_cast<double>(1.0f / 3));  // alpha is an f32 first
  CHECK(get({DType::f32, 0.25}, float{}) == 0.25f);
  CHECK(get({DType::f32, std::int64_t{3}}, float{}) == 3.0f);
  const auto r = scalar_bits({DType::i32, "M*1000000000"}, c, env, b);
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) ==
        "error E0614: formula 'M*1000000000' has no value: it does not fit the 32 bits of its argument");
}

}  // namespace
}  // namespace tecc
