#include <fmt/format.h>

#include <algorithm>

#include "codegen/c_header.h"
#include "codegen/c_text.h"

namespace tecc {
namespace {

/// A legal value of a runtime dim near 256.
std::int64_t sample(const ContractDim& d) {
  const std::int64_t near = std::clamp<std::int64_t>(256, d.min, d.max), down = near - near % d.multiple_of;
  return down >= d.min ? down : down + d.multiple_of;
}

/// The size of a buffer as a plain C expression: the example has the sizes as local variables of the dims' names, fixed.
std::int64_t sample_bytes(const Contract& c, const ContractBuffer& b, const Env& env) {
  const auto bytes = evaluate(size_formula(c, b), env);
  return bytes ? *bytes : 0;
}

std::string arguments(const Contract& c) {
  std::string out;
  for (const auto& list : {c_buffer_parameters(c), c_dim_parameters(c)})
    for (const CParameter& p : list) out += ", " + p.name;
  return out + (has_workspace(c) ? ", workspace" : "");
}
std::string dim_arguments(const Contract& c) {
  std::string out;
  for (const CParameter& p : c_dim_parameters(c)) out += ", " + p.name;
  return out;
}

constexpr std::string_view cuda_top = R"c(#include <dlfcn.h>

/* The rest of the driver that this program itself needs. */
static int (*cuInit)(unsigned);
static int (*cuDeviceGet)(int*, int);
static int (*cuDevicePrimaryCtxRetain)(void**, int);
static int (*cuCtxSetCurrent)(void*);
static int (*cuCtxSynchronize)(void);
static int (*cuMemAlloc)(uint64_t*, size_t);
static int (*cuMemsetD8)(uint64_t, unsigned char, size_t);

static void find(void* library, const char* name, void* function) {
  void* address = dlsym(library, name);
  if (!address) {
    fprintf(stderr, "libcuda has no %s\n", name);
    exit(1);
  }
  memcpy(function, &address, sizeof address);
}

static void check(int code) {
  if (code == 0) return;
  fprintf(stderr, "error %d: %s\n", code, NAME_error_text(code));
  exit(1);
}

static void* device_memory(size_t bytes) {
  uint64_t address = 0;
  check(cuMemAlloc(&address, bytes ? bytes : 1));
  check(cuMemsetD8(address, 0, bytes ? bytes : 1));
  return (void*)(uintptr_t)address;
}

int main(int argc, char** argv) {
  NAME_kernels kernels;
  tecc_driver_table driver;
  int device = 0;
  void* context = NULL;
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    fprintf(stderr, "no CUDA driver: %s\n", dlerror());
    return 1;
  }
  if (tecc_driver_fill(&driver, dlsym, library) != 0) {
    fprintf(stderr, "the CUDA driver is too old\n");
    return 1;
  }
  find(library, "cuInit", &cuInit);
  find(library, "cuDeviceGet", &cuDeviceGet);
  find(library, "cuDevicePrimaryCtxRetain", &cuDevicePrimaryCtxRetain);
  find(library, "cuCtxSetCurrent", &cuCtxSetCurrent);
  find(library, "cuCtxSynchronize", &cuCtxSynchronize);
  find(library, "cuMemAlloc_v2", &cuMemAlloc);
  find(library, "cuMemsetD8_v2", &cuMemsetD8);
  check(cuInit(0));
  check(cuDeviceGet(&device, 0));
  check(cuDevicePrimaryCtxRetain(&context, device));
  check(cuCtxSetCurrent(context));
  check(NAME_load(&kernels, &driver, argc > 1 ? argv[1] : "."));
  {
)c";

constexpr std::string_view cpu_top = R"c(
static void check(int code) {
  if (code == 0) return;
  fprintf(stderr, "error %d: %s\n", code, NAME_error_text(code));
  exit(1);
}

/* Zeroed, 256-byte aligned. */
static void* host_memory(size_t bytes) {
  char* raw = (char*)calloc(1, bytes + 256);
  if (!raw) exit(1);
  return (void*)(((uintptr_t)raw + 255) & ~(uintptr_t)255);
}

int main(void) {
  {
)c";

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace

std::string example_c(const Contract& c) {
  const bool cuda = has_cuda(c);
  Env env = {{"sm_count", 1}};
  std::string out = fmt::format("/* Launches {0} once on zeros. cc -std=c99 example.c {1} */\n#include \"{0}.h\"\n",
                                c.name, cuda ? "-ldl && ./a.out FOLDER_OF_THE_IMAGES" : "*.o && ./a.out");
  out += replaced(std::string(cuda ? cuda_top : cpu_top), "NAME", c.name);
  for (const ContractDim& d : c.dims) {
    env[d.name] = d.value ? *d.value : sample(d);
    if (!d.value)
      out +=
          fmt::format("    const int64_t {} = {}; /* {} */\n", c_name(d.name), c_literal(env[d.name]), range_text(d));
  }
  for (const ContractBuffer& b : c.buffers) {
    if (b.role == Role::workspace) continue;
    if (b.role == Role::scalar) out += fmt::format("    const {} {} = 1;\n", c_scalar_type(*b.dtype), c_name(b.name));
    else
      out += fmt::format("    void* {} = {}({}); /* {}, {} */\n", c_name(b.name),
                         cuda ? "device_memory" : "host_memory", sample_bytes(c, b, env), name(b.role), name(*b.dtype));
  }
  const std::string dims = dim_arguments(c), bare = dims.empty() ? "" : dims.substr(2);
  if (has_workspace(c)) {
    out += fmt::format("    const int64_t workspace_bytes = {}_workspace_bytes({});\n", c.name,
                       cuda ? "&kernels" + dims : bare);
    out += fmt::format("    void* workspace = workspace_bytes < 0 ? NULL : {}((size_t)workspace_bytes);\n",
                       cuda ? "device_memory" : "host_memory");
    out += "    if (workspace_bytes < 0) check((int)workspace_bytes);\n";
    if (cuda) out += fmt::format("    check({}_workspace_init(&kernels, NULL{}, workspace));\n", c.name, dims);
    else out += fmt::format("    check({}_workspace_init({}workspace));\n", c.name, bare.empty() ? "" : bare + ", ");
  }
  const std::string all = arguments(c);
  const bool once = std::any_of(c.variants.begin(), c.variants.end(), [](const Variant& v) { return !v.once.empty(); });
  if (cuda && once) out += fmt::format("    check({}_once(&kernels, NULL{}));\n", c.name, all);
  if (cuda)
    out += fmt::format(
        "    check({}_launch(&kernels, NULL{}));\n    check(cuCtxSynchronize());\n  }}\n  {}_unload(&kernels);\n",
        c.name, all, c.name);
  else out += fmt::format("    check({}_run({}));\n  }}\n", c.name, all.empty() ? "" : all.substr(2));
  out += fmt::format("  printf(\"{}: done\\n\");\n  return 0;\n}}\n", c.name);
  return out;
}

}  // namespace tecc
