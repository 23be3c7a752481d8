#include "codegen/artifact.h"

#include "ir/base/errors.h"
#include "tests/support/catch.h"
#include "tests/support/contracts.h"

namespace tecc {
namespace {

Contract gemm() { return parse_contract(gemm_contract, "gemm_nt.json").or_throw(); }

/// The example with one piece of its text replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = gemm_contract;
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("artifact: every field of the contract page is read") {
  const Contract c = gemm();
  CHECK(c.name == "gemm_nt");
  CHECK(c.tecc_version == "0.1.0");
  CHECK(c.toolkit == "13.0");
  CHECK(c.types == std::vector<std::pair<std::string, DType>>{{"T", DType::bf16}});
  REQUIRE(c.dims.size() == 3);
  CHECK(c.dims[0] == ContractDim{"M", 4096});
  CHECK(c.dims[1] == ContractDim{"N", std::nullopt, 1, 65536, 8});
  CHECK(c.constraints == std::vector<std::string>{"K % 8"});
  CHECK(c.find_buffer("B")->role == Role::constant);
  CHECK(c.find_buffer("B")->offset == "0");
  CHECK(c.find_buffer("B")->sha256 == "00ff");
  CHECK(c.find_buffer("ws")->zero_before);
  CHECK_FALSE(c.find_buffer("ws")->zero_after);
  const Variant& v = c.variants.at(0);
  CHECK(std::get<CudaIsa>(v.target) == CudaIsa{"sm_90a", false});
  CHECK(v.when.align == std::vector<std::pair<std::string, std::int64_t>>{{"A", 16}});
  const CudaLaunch& l = std::get<CudaLaunch>(v.launches.at(0));
  CHECK(l.grid[0] == "min(ceildiv(M,128)*ceildiv(N,256),sm_count)");
  CHECK(l.cluster[0] == 2);
  CHECK(l.shared_bytes == 230656);
  const TensorMapArg& map = std::get<TensorMapArg>(l.args.at(0));
  CHECK(map.box == std::vector<std::int64_t>{64, 128});
  CHECK(map.l2_promotion == "256B");
  CHECK(std::get<std::string>(std::get<ScalarArg>(l.args.at(5)).value) == "alpha");
  CHECK(std::get<double>(std::get<ScalarArg>(l.args.at(6)).value) == 0.5);
  CHECK(std::get<std::int64_t>(std::get<ScalarArg>(l.args.at(7)).value) == 3);
  CHECK(c.numerics == Numerics{"f32", 1e-2, 1e-2, true, true});
  CHECK(c.expression == "gemm_nt.te");
  CHECK_FALSE(c.record);
}

TEST_CASE("artifact: written and read again it is the same, and the text is stable") {
  for (const std::string& text : {gemm_contract, cpu_contract}) {
    const Contract c = parse_contract(text, "x.json").or_throw();
    const std::string once = to_json(c);
    const Contract again = parse_contract(once, "x.json").or_throw();
    CHECK(again == c);
    CHECK(to_json(again) == once);
  }
  CHECK(to_json(gemm()).starts_with("{\n  \"contract\": 1,\n  \"name\": \"gemm_nt\",\n  \"made_by\": {\n"));
}

TEST_CASE("artifact: E0610 says what is wrong, whole texts") {
  const std::pair<std::string, const char*> rows[] = {
      {with("\"contract\": 1", "\"contract\": 2"), "it has contract version 2, this tecc reads 1"},
      {with("\"name\": \"gemm_nt\",", ""), "'name' is missing"},
      {with("\"role\": \"input\"", "\"role\": \"inputs\""), "buffer 'A' has the unknown role 'inputs'"},
      {with("\"dtype\": \"bf16\"", "\"dtype\": \"f24\""), "there is no dtype 'f24'"},
      {with("K % 8", "L % 8"), "formula 'L % 8' reads 'L', which is no dim"},
      {with("K % 8", "K %"), "'K %' is not a formula"},
      {with("\"name\": \"A\"", "\"name\": \"M\""), "the name 'M' stands twice"},
      {with("\"buffer\": \"C\"", "\"buffer\": \"D\""), "there is no buffer 'D'"},
      {with("\"strides\": [\"K\", \"1\"]", "\"strides\": [\"K\"]"), "shape and strides of 'A' differ in rank"},
      {with("\"box\": [64, 128]", "\"box\": [64]"), "the tensor map of 'A' has ranks that do not fit"},
      {with("\"swizzle\": \"128B\"", "\"swizzle\": \"96B\""), "'96B' means nothing in a tensor map"},
      {with("\"align\": 16", "\"align\": 12"), "align of 'A' is no power of two"},
      {with("gemm_nt.cubin", "../x.cubin"), "file '../x.cubin' is not inside the folder of the contract"},
      {with("sm_90a", "90a"), "'90a' is not an architecture"},
      {with("\"type\": \"i32\"", "\"type\": \"i8\""), "a scalar argument has type i8"},
      {with("[384, 1, 1]", "[384, 1]"), "'block' must have three values"},
      {with("\"kind\": \"scalar\"", "\"kind\": \"skalar\""), "'buffer' is missing"},
      {"[]", "it is not a JSON object"},
  };
  for (const auto& [text, want] : rows) {
    const auto r = parse_contract(text, "gemm_nt.json");
    REQUIRE_FALSE(r);
    CHECK(render(r.error()) == std::string("error E0610: 'gemm_nt.json' is not a launch contract: ") + want);
  }
  CHECK_FALSE(parse_contract("{", "x.json"));
  CHECK_FALSE(parse_contract(with("\"align\": 16", "\"align\": \"x\""), "x.json"));
}

TEST_CASE("artifact: a file that is not there is E0601") {
  const auto r = read_contract("/nowhere/x.json");
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0601: cannot read '/nowhere/x.json': No such file or directory");
}

TEST_CASE("artifact: dims are bound inside the contract only") {
  const Contract c = gemm();
  const Env env = bind_dims(c, {{"N", 24}, {"sm_count", 132}}).or_throw();
  CHECK(env == Env{{"M", 4096}, {"N", 24}, {"K", 4096}, {"sm_count", 132}});
  const std::pair<Env, const char*> rows[] = {
      {{}, "error E0615: dim 'N' is not given; the contract of 'gemm_nt' allows 1..65536 in steps of 8"},
      {{{"N", 12}}, "error E0615: dim 'N' is 12; the contract of 'gemm_nt' allows 1..65536 in steps of 8"},
      {{{"N", 0}}, "error E0615: dim 'N' is 0; the contract of 'gemm_nt' allows 1..65536 in steps of 8"},
      {{{"N", 65544}}, "error E0615: dim 'N' is 65544; the contract of 'gemm_nt' allows 1..65536 in steps of 8"},
      {{{"N", 8}, {"M", 1}}, "error E0615: dim 'M' is 1; the contract of 'gemm_nt' allows 4096 only"},
  };
  for (const auto& [given, want] : rows) {
    const auto r = bind_dims(c, given);
    REQUIRE_FALSE(r);
    CHECK(render(r.error()) == want);
  }
  const Contract odd = parse_contract(with("K % 8", "(N + 8) % 16"), "x").or_throw();
  const auto r = bind_dims(odd, {{"N", 16}});
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0616: constraint '(N + 8) % 16' of 'gemm_nt' is 8; it must be 0");
}

TEST_CASE("artifact: which images fit which chips") {
  const std::tuple<const char*, bool, CudaTarget, ImageFit> rows[] = {
      {"sm_90a", false, {9, 0}, ImageFit::cubin},   {"sm_90a", true, {10, 0}, ImageFit::none},
      {"sm_80", false, {8, 0}, ImageFit::cubin},    {"sm_80", false, {8, 9}, ImageFit::cubin},
      {"sm_86", false, {8, 0}, ImageFit::none},     {"sm_80", false, {9, 0}, ImageFit::none},
      {"sm_80", true, {9, 0}, ImageFit::ptx},       {"sm_90", true, {8, 0}, ImageFit::none},
      {"sm_100f", false, {10, 3}, ImageFit::cubin}, {"sm_100f", false, {12, 0}, ImageFit::none},
      {"sm_120", false, {12, 0}, ImageFit::cubin},
  };
  for (const auto& [arch, forward, device, want] : rows) {
    INFO(arch << " on " << device.major << "." << device.minor);
    CHECK(image_fit({arch, forward}, device) == want);
  }
}

TEST_CASE("artifact: the first variant that fits; else the reasons") {
  Contract c = gemm();
  c.dims[0] = ContractDim{"M", std::nullopt};
  c.variants.push_back(c.variants[0]);
  c.variants[1].when = {};
  const Env even = {{"M", 4}, {"N", 8}, {"K", 8}}, odd = {{"M", 3}, {"N", 8}, {"K", 8}};
  const std::vector<std::uint64_t> aligned(5, 256), crooked = {8, 256, 0, 256, 256};
  CHECK(select_variant(c, CudaTarget{9, 0}, even, aligned).or_throw() == &c.variants[0]);
  CHECK(select_variant(c, CudaTarget{9, 0}, odd, aligned).or_throw() == &c.variants[1]);
  CHECK(select_variant(c, CudaTarget{9, 0}, even, crooked).or_throw() == &c.variants[1]);
  CHECK(select_variant(c, CudaTarget{9, 0}, even, {}).or_throw() == &c.variants[0]);

  const auto other_chip = select_variant(c, CudaTarget{8, 0}, even, aligned);
  REQUIRE_FALSE(other_chip);
  CHECK(render(other_chip.error()) ==
        "error E0607: the image of kernel 'gemm_nt' is for sm_90a, the device is sm_80; build with -arch=sm_80");
  c.variants.pop_back();
  const auto unmet = select_variant(c, CudaTarget{9, 0}, odd, aligned);
  REQUIRE_FALSE(unmet);
  CHECK(render(unmet.error()) == "error E0611: no variant of 'gemm_nt' fits sm_90 (M must be a multiple of 2)");
  const auto crooked_only = select_variant(c, CudaTarget{9, 0}, even, crooked);
  REQUIRE_FALSE(crooked_only);
  CHECK(render(crooked_only.error()) == "error E0611: no variant of 'gemm_nt' fits sm_90 (A must be 16-byte aligned)");
  const auto cpu = select_variant(c, CpuTarget{}, even, {});
  REQUIRE_FALSE(cpu);
  CHECK(render(cpu.error()) == "error E0611: no variant of 'gemm_nt' fits the CPU (a variant is for sm_90a)");
}

}  // namespace
}  // namespace tecc
