#include "codegen/llvm/object.h"

#include "tests/support/cpu.h"

using namespace tecc;

TEST_CASE("cpu: object files, assembly and text; the same bytes every time", "[cpu]") {
  const test::Prepared p = test::prepare({test::cases().at("softmax.te"), "M=1..64,N=1..99", "T=bf16"});
  const codegen::cpu::Target target{"x86_64-pc-linux-gnu", "x86-64-v3", ""};
  const auto module = test::require(codegen::cpu::emit(p.lowered, target));
  const std::string bytes = test::require(codegen::cpu::object(module));
  CHECK(bytes.substr(0, 4) == "\x7f" "ELF");
  CHECK(bytes == test::require(codegen::cpu::object(test::require(codegen::cpu::emit(p.lowered, target)))));
  CHECK(test::require(codegen::cpu::assembly(module)).find("softmax_0:") != std::string::npos);
  CHECK(codegen::cpu::text(module).find("define i32 @softmax_0(ptr %buffers, ptr %dims, i64 %task)") != std::string::npos);
  CHECK(module.kernels.size() == 4);
}

TEST_CASE("cpu: an unknown target is refused", "[cpu]") {
  const test::Prepared p = test::prepare({"kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] }", "N=4"});
  const auto r = codegen::cpu::emit(p.lowered, {"", "pentium-m-deluxe", ""});
  REQUIRE(!r);
  CHECK(render(r.error()).find("E0441: LLVM refused the program: unknown processor 'pentium-m-deluxe'") != std::string::npos);
}

TEST_CASE("cpu: code for another processor is refused before it runs", "[cpu]") {
  CHECK(codegen::cpu::missing_here({}) == "");
  CHECK(codegen::cpu::missing_here({"x86_64-pc-linux-gnu", "x86-64", ""}) == "");
  CHECK(codegen::cpu::missing_here(codegen::cpu::resolved({})) == "");  // whatever its name promises
  CHECK(codegen::cpu::missing_here({"aarch64-unknown-linux-gnu", "generic", ""}) == "aarch64-unknown-linux-gnu");
  const test::Prepared p = test::prepare({"kernel k(X: f32[N]) -> (Y) { Y[i: N] = X[i] }", "N=4"});
  const codegen::cpu::Target both{"x86_64-pc-linux-gnu", "x86-64", "+fma4,+amx-int8"};  // of two makers: no machine has them all
  const auto r = codegen::cpu::Jit::make(test::require(codegen::cpu::emit(p.lowered, both)));
  REQUIRE(!r);
  CHECK(render(r.error()).starts_with("error E0619: '-mcpu=x86-64' does not run on this machine: it needs "));
}

TEST_CASE("cpu: an object file is linked into this process; E0619 where that fails", "[cpu]") {
  const test::Prepared p = test::prepare({"kernel k(X: f32[N]) -> (Y) { Y[i: N] = erf(X[i]) }", "N=4"});
  const auto module = test::require(codegen::cpu::emit(p.lowered, {}));
  const std::string bytes = test::require(codegen::cpu::object(module));
  float x[] = {-1, 0, 1, 2}, y[] = {9, 9, 9, 9};
  void* buffers[] = {x, y};
  {
    const auto jit = test::require(codegen::cpu::Jit::load(bytes, "k.o", module.target, {module.kernels[0].name}));
    CHECK(jit.function(module.kernels[0].name)(buffers, nullptr, 0) == 0);
    CHECK(jit.function("nothing") == nullptr);
  }
  CHECK(y[2] == Catch::Approx(std::erf(1.0f)));
  const auto says = [&](const std::string& object, const std::string& symbol) {
    const auto r = codegen::cpu::Jit::load(object, "k.o", module.target, {symbol});
    REQUIRE(!r);
    return render(r.error());
  };
  CHECK(says(bytes, "missing") == "error E0619: 'k.o' does not run on this machine: Symbols not found: [ missing ]");
  CHECK(says(bytes.substr(0, 100), module.kernels[0].name).starts_with("error E0619: 'k.o' does not run on this machine: "));
}

TEST_CASE("cpu: dims may have other places; a kernel named like a library function calls the library", "[cpu]") {
  const test::Prepared p = test::prepare({"kernel expf(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = sin(X[i, j]) }", "M=1..9,N=1..9"});
  codegen::cpu::Places places;
  int place = 3;
  for (const auto& [v, range] : p.lowered.dims) places.dims[v] = place--;
  const auto module = test::require(codegen::cpu::emit(p.lowered, {}, places));
  CHECK(module.kernels[0].name == "expf_");
  const auto jit = test::require(codegen::cpu::Jit::make(module));
  float x[] = {1, 2, 3, 4, 5, 6}, y[] = {9, 9, 9, 9, 9, 9};
  void* buffers[] = {x, y};
  const std::int64_t dims[] = {0, 0, 3, 2};  // M at 3, N at 2
  CHECK(jit.function("expf_")(buffers, dims, 0) == 0);
  CHECK(y[5] == Catch::Approx(std::sin(6.0f)));
  CHECK(jit.function("nothing") == nullptr);
}

TEST_CASE("cpu: results that are used once are stored past the cache, where whole pieces are, and before the task ends") {
  const auto text = [](const std::string& dims, const std::string& steps) {
    const test::Operator op{"kernel a(X: f32[M, N]) -> (Y) { Y[i: M, j: N] = X[i, j] * 2 }", dims, "", steps};
    test::check_cpu(op);
    return codegen::cpu::text(test::require(codegen::cpu::emit(test::prepare(op).lowered, {"x86_64-pc-linux-gnu", "x86-64-v3", ""})));
  };
  const std::string vectors = "p, q = split(Y.j, 16)\nvectorize(q)\n";
  const std::string streamed = text("M=3,N=64", vectors + "cache_hint(Y, evict_first)\n");
  CHECK(streamed.find("store <4 x float>") != std::string::npos);
  CHECK(streamed.find("!nontemporal") != std::string::npos);
  CHECK(streamed.find("sfence") < streamed.find("ret i32 0"));
  CHECK(text("M=3,N=64", vectors).find("!nontemporal") == std::string::npos);
  CHECK(text("M=3,N=66", vectors + "cache_hint(Y, evict_first)\n").find("!nontemporal") == std::string::npos);  // every other row begins beside a piece
}
