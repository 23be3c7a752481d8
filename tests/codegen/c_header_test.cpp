#include "codegen/c_header.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "codegen/c_text.h"
#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "tests/support/catch.h"
#include "tests/support/contracts.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

/// Output and exit status of a shell command, as "status:output".
std::string shell(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::array<char, 4096> block;
  for (std::size_t n; (n = std::fread(block.data(), 1, block.size(), pipe)) > 0;) out.append(block.data(), n);
  const int status = ::pclose(pipe);
  return fmt::format("{}:{}", WEXITSTATUS(status), out);
}

const char* const strict_c = "gcc -std=c99 -pedantic -Wall -Wextra -Werror";
const char* const strict_cpp = "g++ -x c++ -Wall -Wextra -Werror";

/// Writes the header with `program` beside it, builds it with both compilers and runs the C one.
std::string run_c(const Contract& c, const std::string& program, const std::string& extra = "") {
  const TemporaryFolder f;
  write_files(f.path, {{c.name + ".h", c_header(c)}, {"p.c", program}}).or_throw();
  const std::string cpp = shell(fmt::format("cd {} && {} -c p.c -o cpp.o", f.path, strict_cpp));
  CHECK(cpp == "0:");
  const std::string built = shell(fmt::format("cd {} && {} {} p.c -o p -ldl", f.path, strict_c, extra));
  if (built != "0:") return built;
  return shell(f.path + "/p");
}

Contract gemm() { return parse_contract(gemm_contract, "gemm_nt.json").or_throw(); }
Contract axpy() { return parse_contract(cpu_contract, "axpy.json").or_throw(); }

TEST_CASE("c_header: formulas in C agree with the evaluator, on overflow too") {
  Contract c = axpy();
  const char* const formulas[] = {"n",
                                  "n/7",
                                  "-n/7",
                                  "n%7",
                                  "-n%7",
                                  "n%-7",
                                  "ceildiv(n,7)",
                                  "ceildiv(-n,7)",
                                  "ceildiv(n,-7)",
                                  "min(n,c)",
                                  "max(n,c)",
                                  "n*1+0-0",
                                  "0+1*n",
                                  "n*n*n",
                                  "n*n*n*n*n",
                                  "n+9223372036854775807",
                                  "-n-9223372036854775807",
                                  "n/(c-100)",
                                  "n%(n-n)",
                                  "-9223372036854775807-c",
                                  "c*2+n",
                                  "(n-c)*(c-n)",
                                  "1/(c-c)",
                                  "(0-n)*9223372036854775807"};
  for (const std::int64_t n : {4, 96, 1000000}) {
    std::string program =
        "#include \"axpy.h\"\nint main(void) {\n  axpy_call_ call, *c = &call;\n  int bad;\n  int64_t v;\n";
    program += fmt::format("  if (axpy_dims_(c, 1, {}) != 0) return 1;\n", n);
    std::string want = "0:";
    for (const char* f : formulas) {
      program +=
          fmt::format("  bad = 0;\n  v = {};\n  if (bad) puts(\"none\"); else printf(\"%lld\\n\", (long long)v);\n",
                      c_expression(c, f));
      const auto value = evaluate(f, {{"n", n}, {"c", 100}});
      want += value ? fmt::format("{}\n", *value) : "none\n";
    }
    CHECK(run_c(c, program + "  return 0;\n}\n") == want);
  }
}

TEST_CASE("c_header: the CPU artifact runs, and each broken condition has its own code") {
  const std::string program = R"c(#include "axpy.h"
int32_t axpy_0(void* const* b, const int64_t* dims, int64_t task) {
  const float* x = (const float*)b[0];
  const float alpha = *(const float*)b[1];
  float* y = (float*)b[2];
  float* ws = (float*)b[3];
  int64_t i;
  if (ws[task] != 0) return 1;
  ws[task] = 1;
  for (i = task * dims[1]; i < (task + 1) * dims[1] && i < dims[0]; ++i) y[i] += alpha * x[i];
  return 0;
}
static void* room(size_t n) { return (void*)(((uintptr_t)malloc(n + 64) + 63) & ~(uintptr_t)63); }
static void say(int code) { printf("%s\n", axpy_error_text(code)); }
int main(void) {
  float* x = (float*)room(4096);
  float* y = (float*)room(4096);
  void* ws = room(256);
  int i, twice;
  for (i = 0; i < 252; ++i) { x[i] = (float)i; y[i] = 1; }
  printf("%d bytes\n", (int)axpy_workspace_bytes(252));
  if (axpy_workspace_init(252, ws) != 0) return 1;
  for (twice = 0; twice < 2; ++twice) say(axpy_run(x, 0.5f, y, 252, ws));
  printf("%g %g\n", y[10], y[251]);
  say(axpy_run(x, 1, y, 3, ws));
  say(axpy_run(x, 1, y, 1000004, ws));
  say(axpy_run(x, 1, y, 6, ws));
  say(axpy_run(NULL, 1, y, 8, ws));
  say(axpy_run(x, 1, y + 1, 8, ws));
  say(axpy_run(y + 4, 1, y, 8, ws));
  say(axpy_run(x, 1, y, 8, NULL));
  say((int)axpy_workspace_bytes(5));
  return 0;
}
)c";
  CHECK(run_c(axpy(), program) ==
        "0:12 bytes\nsuccess\nsuccess\n11 252\n"
        "n must be 4..1000000 in steps of 4\nn must be 4..1000000 in steps of 4\nn must be a multiple of 4\n"
        "x is NULL\ny must be 16-byte aligned\ny overlaps x\nworkspace is NULL or not 64-byte aligned\nn must be a "
        "multiple of 4\n");
}

TEST_CASE("c_header: a CUDA launch hands the driver what the contract says") {
  Contract c = gemm();
  CudaLaunch& l = std::get<CudaLaunch>(c.variants[0].launches[0]);
  l.programmatic_dependent = true;
  const std::string program = R"c(#include "gemm_nt.h"
/* a driver that prints */
static int anything;
static int load(void** m, const void* image) { printf("load %.4s\n", (const char*)image); *m = &anything; return 0; }
static int unload(void* m) { (void)m; printf("unload\n"); return 0; }
static int get(void** f, void* m, const char* name) { (void)m; printf("get %s\n", name); *f = &anything; return 0; }
static int set(void* f, int a, int v) { (void)f; printf("set %d %d\n", a, v); return 0; }
static int clear(uint64_t p, unsigned char v, size_t n, void* s) { (void)s; printf("clear %d %d %d\n", (int)p, v, (int)n); return 0; }
static int device(int* d) { *d = 3; return 0; }
static int attribute(int* v, int a, int d) { (void)d; *v = a == 16 ? 132 : a == 75 ? 9 : 0; return 0; }
static int map(void* m, int type, unsigned rank, void* p, const uint64_t* dims, const uint64_t* strides, const unsigned* box,
               const unsigned* steps, int interleave, int swizzle, int promotion, int fill) {
  printf("map %d type %d rank %u at %d dims %d %d stride %d box %u %u steps %u %u words %d %d %d %d\n", (int)((uintptr_t)m % 64), type, rank,
         (int)(uintptr_t)p, (int)dims[0], (int)dims[1], (int)strides[0], box[0], box[1], steps[0], steps[1], interleave, swizzle, promotion, fill);
  memcpy(m, "map!", 5);
  return 0;
}
static int launch(const tecc_launch_config* c, void* f, void** p, void** e) {
  unsigned i;
  (void)f; (void)e;
  printf("launch %u %u %u of %u %u %u shared %u\n", c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared_bytes);
  for (i = 0; i < c->attribute_count; ++i) printf("attribute %d: %u %u %u\n", c->attributes[i].id, c->attributes[i].value.words[0], c->attributes[i].value.words[1], c->attributes[i].value.words[2]);
  printf("%s %d %d %d %d %g %g %d\n", (char*)p[0], (int)*(uint64_t*)p[1], (int)*(uint64_t*)p[2], (int)*(uint64_t*)p[3], *(int32_t*)p[4],
         *(float*)p[5], *(float*)p[6], (int)*(int64_t*)p[7]);
  return 0;
}
int main(void) {
  tecc_driver_table d;
  gemm_nt_kernels k;
  const void* images[2] = {"ELF", NULL};
  d.module_load_data = load; d.module_unload = unload; d.module_get_function = get; d.func_set_attribute = set; d.launch_kernel_ex = launch;
  d.memset_d8_async = clear; d.tensor_map_encode_tiled = map; d.ctx_get_device = device; d.device_get_attribute = attribute;
  printf("%d %d\n", (int)sizeof(tecc_launch_attribute), (int)sizeof(tecc_launch_config));
  printf("%s %s %s\n", gemm_nt_image_file(0), gemm_nt_image_file(1), GEMM_NT_B_FILE);
  if (gemm_nt_load_images(&k, &d, images) != 0) return 1;
  printf("%d %d\n", (int)gemm_nt_workspace_bytes(&k, 16), (int)gemm_nt_B_bytes(132, 16));
  puts(gemm_nt_error_text(gemm_nt_launch(&k, NULL, (void*)256, (void*)134217728, 2.5f, (void*)268435456, 16, (void*)1073741824)));
  puts(gemm_nt_error_text(gemm_nt_launch(&k, NULL, (void*)8, (void*)134217728, 2.5f, (void*)268435456, 16, (void*)1073741824)));
  puts(gemm_nt_error_text(gemm_nt_load(&k, &d, "/nowhere")));
  gemm_nt_unload(&k);
  return 0;
}
)c";
  CHECK(run_c(c, program) ==
        "0:72 56\ngemm_nt.cubin gemm_nt.ptx weights.bin\nload ELF\nget gemm_nt\nset 8 230656\n262144 131072\n"
        "clear 1073741824 0 262144\n"
        "map 0 type 9 rank 2 at 256 dims 4096 4096 stride 8192 box 64 128 steps 1 1 words 0 3 3 0\n"
        "launch 32 1 1 of 384 1 1 shared 230656\nattribute 4: 2 1 1\nattribute 6: 1 0 0\n"
        "map! 134217728 268435456 1073741824 4096 2.5 0.5 3\nsuccess\n"
        "A must be 16-byte aligned\nan image is missing or cannot be read\n");
}

TEST_CASE("c_header: the examples compile; the CPU one runs") {
  CHECK(run_c(axpy(), example_c(axpy()) + "int32_t axpy_0(void* const* b, const int64_t* d, int64_t t) { (void)b; "
                                          "(void)d; (void)t; return 0; }\n") == "0:axpy: done\n");
  const TemporaryFolder f;
  write_files(f.path, {{"gemm_nt.h", c_header(gemm())}, {"example.c", example_c(gemm())}}).or_throw();
  CHECK(shell(fmt::format("cd {} && {} -Wno-pedantic example.c -o e -ldl", f.path, strict_c)) == "0:");
  CHECK(shell(fmt::format("cd {} && {} example.c -o e -ldl", f.path, strict_cpp)) == "0:");
}

TEST_CASE("c_header: names that are C keywords, no runtime dims, no arguments") {
  Contract c = axpy();
  c.name = "odd";
  c.dims = {{"n", 64}, {"c", 100}};
  c.buffers[0].name = "int";
  c.buffers[2].name = "class";
  c.buffers.pop_back();
  c.constraints = {"n % 8"};
  c.variants.push_back(
      {CudaIsa{"sm_80", true}, {}, {CudaLaunch{"pack", "o.cubin", "o.ptx"}}, {CudaLaunch{"odd", "o.cubin", "o.ptx"}}});
  verify(c).or_throw();
  CHECK(run_c(c,
              "#include \"odd.h\"\n#include \"odd.h\"\nint32_t axpy_0(void* const* b, const int64_t* d, int64_t t) { "
              "(void)b; (void)d; (void)t; return 0; }\n"
              "int main(void) { return odd_run((void*)16, 1, (void*)1024); }\n") == "0:");
}

}  // namespace
}  // namespace tecc
