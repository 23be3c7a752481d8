#include "codegen/c_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ir/base/errors.h"

namespace tecc {
namespace {

// C99 and C++20 keywords, and the parameter names that generated functions use themselves.
// clang-format off
constexpr std::string_view taken[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char",
    "char8_t", "char16_t", "char32_t", "class", "compl", "concept", "const", "consteval", "constexpr", "constinit",
    "const_cast", "continue", "co_await", "co_return", "co_yield", "decltype", "default", "delete", "do", "double",
    "dynamic_cast", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if",
    "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or",
    "or_eq", "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return", "short",
    "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this", "thread_local",
    "throw", "true", "try", "typedef", "typeid", "typename", "typeof", "union", "unsigned", "using", "virtual", "void",
    "volatile", "wchar_t", "while", "xor", "xor_eq", "linux", "unix",
    // ours, and macros of the headers that are included
    "k", "stream", "workspace", "c", "bad", "NULL", "EOF", "stdin", "stdout", "stderr", "errno", "assert"};
// clang-format on

bool is_runtime(const ContractDim& d) { return !d.value; }

}  // namespace

std::string c_name(const std::string& name) {
  return std::find(std::begin(taken), std::end(taken), name) != std::end(taken) ? name + "_" : name;
}

std::string_view c_scalar_type(DType type) {
  switch (type) {
    case DType::boolean:
    case DType::u8:
      return "uint8_t";
    case DType::i8:
      return "int8_t";
    case DType::i16:
      return "int16_t";
    case DType::i32:
      return "int32_t";
    case DType::i64:
      return "int64_t";
    case DType::f64:
      return "double";
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::e4m3:
    case DType::e5m2:
    case DType::tf32:
      break;
  }
  return "float";
}

std::string c_literal(std::int64_t value) {
  if (value == std::numeric_limits<std::int64_t>::min()) return "INT64_MIN";  // -9223372036854775808 is not a literal
  const bool small = value > -2147483648LL && value < 2147483648LL;
  const std::string text = small ? fmt::format("{}", value) : fmt::format("INT64_C({})", value);
  return value < 0 && small ? "(" + text + ")" : text;
}

std::string c_expression(const Contract& contract, const std::string& formula) {
  struct Part {
    std::string text;                   // C, or
    std::optional<std::int64_t> value;  // known while generating
    std::string c() const { return value ? c_literal(*value) : text; }
  };
  using Kind = Formula::Kind;
  static constexpr std::pair<Kind, std::string_view> functions[] = {
      {Kind::negate, "tecc_neg_"},      {Kind::add, "tecc_add_"}, {Kind::sub, "tecc_sub_"},
      {Kind::mul, "tecc_mul_"},         {Kind::div, "tecc_div_"}, {Kind::mod, "tecc_mod_"},
      {Kind::ceildiv, "tecc_ceildiv_"}, {Kind::min, "tecc_min_"}, {Kind::max, "tecc_max_"}};
  const auto function = [](Kind kind) {
    for (const auto& [k, text] : functions)
      if (k == kind) return text;
    return std::string_view();
  };
  const Result<Formula> parsed = Formula::parse(formula);
  invariant(static_cast<bool>(parsed), "a C header is made of a verified contract");
  std::vector<Part> stack;
  for (const Formula::Op& op : parsed->ops()) {
    if (op.kind == Kind::literal) {
      stack.push_back({{}, op.value});
    } else if (op.kind == Kind::name) {
      const ContractDim* dim = contract.find_dim(op.name);
      if (dim && dim->value) stack.push_back({{}, dim->value});
      else stack.push_back({dim ? "c->d_" + op.name : "c->sm_count", {}});
    } else {
      const bool unary = op.kind == Kind::negate;
      const Part b = std::move(stack.back());
      if (!unary) stack.pop_back();
      Part& a = stack.back();
      if (b.value && (unary || a.value)) {  // fold, unless it has no value: then the C text refuses while running
        const Env env = {{"a", unary ? 0 : *a.value}, {"b", *b.value}};
        const char* text = nullptr;
        switch (op.kind) {
          case Kind::negate:
            text = "-b";
            break;
          case Kind::add:
            text = "a+b";
            break;
          case Kind::sub:
            text = "a-b";
            break;
          case Kind::mul:
            text = "a*b";
            break;
          case Kind::div:
            text = "a/b";
            break;
          case Kind::mod:
            text = "a%b";
            break;
          case Kind::ceildiv:
            text = "ceildiv(a,b)";
            break;
          case Kind::min:
            text = "min(a,b)";
            break;
          case Kind::max:
            text = "max(a,b)";
            break;
          case Kind::literal:
          case Kind::name:
            break;
        }
        if (const auto folded = evaluate(text, env)) {
          a = {{}, *folded};
          continue;
        }
      }
      // x*1, x/1, x+0: contracts are full of them ("1*K", offsets of 0)
      if ((op.kind == Kind::mul && b.value == 1) || (op.kind == Kind::div && b.value == 1) ||
          ((op.kind == Kind::add || op.kind == Kind::sub) && b.value == 0))
        continue;
      if ((op.kind == Kind::mul && a.value == 1) || (op.kind == Kind::add && a.value == 0)) {
        a = b;
        continue;
      }
      a = {unary ? fmt::format("tecc_neg_({}, &bad)", b.c())
                 : fmt::format("{}({}, {}, &bad)", function(op.kind), a.c(), b.c()),
           {}};
    }
  }
  return stack.back().c();
}

std::vector<CParameter> c_buffer_parameters(const Contract& contract) {
  std::vector<CParameter> out;
  for (const ContractBuffer& b : contract.buffers) {
    if (b.role == Role::workspace) continue;
    const std::string name = c_name(b.name);
    const std::string type = b.role == Role::scalar ? std::string(c_scalar_type(*b.dtype)) + " "
                             : b.role == Role::input || b.role == Role::constant ? "const void* "
                                                                                 : "void* ";
    out.push_back({type + name, name});
  }
  return out;
}

std::vector<CParameter> c_dim_parameters(const Contract& contract) {
  std::vector<CParameter> out;
  for (const ContractDim& d : contract.dims)
    if (is_runtime(d)) out.push_back({"int64_t " + c_name(d.name), c_name(d.name)});
  return out;
}

bool has_cuda(const Contract& c) {
  return std::any_of(c.variants.begin(), c.variants.end(),
                     [](const Variant& v) { return std::holds_alternative<CudaIsa>(v.target); });
}
bool has_cpu(const Contract& c) {
  return std::any_of(c.variants.begin(), c.variants.end(),
                     [](const Variant& v) { return std::holds_alternative<CpuIsa>(v.target); });
}
bool has_workspace(const Contract& c) {
  return std::any_of(c.buffers.begin(), c.buffers.end(),
                     [](const ContractBuffer& b) { return b.role == Role::workspace; });
}

std::string_view c_prelude() {
  return R"c(#ifndef TECC_CONTRACT_1_H
#define TECC_CONTRACT_1_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CUDA's launch structures, as the driver's ABI has them (CUlaunchAttribute, CUlaunchConfig, CUtensorMap). */
typedef struct tecc_launch_attribute {
  int id;
  int padding;
  union { unsigned words[16]; void* alignment; } value;
} tecc_launch_attribute;
typedef struct tecc_launch_config {
  unsigned grid[3], block[3], shared_bytes;
  void* stream;
  tecc_launch_attribute* attributes;
  unsigned attribute_count;
} tecc_launch_config;
typedef struct tecc_tensor_map { unsigned char room[128 + 64]; } tecc_tensor_map; /* used from its first multiple of 64 */

/* The driver functions that the caller supplies; tecc_driver_fill() does it from a symbol lookup such as dlsym. */
typedef struct tecc_driver_table {
  int (*module_load_data)(void** module, const void* image);                     /* cuModuleLoadData */
  int (*module_unload)(void* module);                                            /* cuModuleUnload */
  int (*module_get_function)(void** function, void* module, const char* name);   /* cuModuleGetFunction */
  int (*func_set_attribute)(void* function, int attribute, int value);           /* cuFuncSetAttribute */
  int (*launch_kernel_ex)(const tecc_launch_config* config, void* function, void** arguments, void** extra); /* cuLaunchKernelEx */
  int (*memset_d8_async)(uint64_t address, unsigned char value, size_t bytes, void* stream); /* cuMemsetD8Async */
  int (*tensor_map_encode_tiled)(void* map, int type, unsigned rank, void* address, const uint64_t* dims, const uint64_t* strides,
                                 const unsigned* box, const unsigned* element_strides, int interleave, int swizzle, int l2_promotion,
                                 int oob_fill); /* cuTensorMapEncodeTiled; may stay NULL where no kernel has a tensor map */
  int (*ctx_get_device)(int* device);                                            /* cuCtxGetDevice */
  int (*device_get_attribute)(int* value, int attribute, int device);            /* cuDeviceGetAttribute */
} tecc_driver_table;

/* `symbol(library, name)` gives the address of a function of libcuda or NULL, as dlsym does. 0 when all were found but
   perhaps the tensor map encoder, which old drivers lack. */
static inline int tecc_driver_fill(tecc_driver_table* table, void* (*symbol)(void* library, const char* name), void* library) {
  void* f;
  int missing = 0;
  memset(table, 0, sizeof *table);
#define TECC_FILL_(field, name) f = symbol(library, name); missing += !f; memcpy(&table->field, &f, sizeof f)
  TECC_FILL_(module_load_data, "cuModuleLoadData");
  TECC_FILL_(module_unload, "cuModuleUnload");
  TECC_FILL_(module_get_function, "cuModuleGetFunction");
  TECC_FILL_(func_set_attribute, "cuFuncSetAttribute");
  TECC_FILL_(launch_kernel_ex, "cuLaunchKernelEx");
  TECC_FILL_(memset_d8_async, "cuMemsetD8Async");
  TECC_FILL_(ctx_get_device, "cuCtxGetDevice");
  TECC_FILL_(device_get_attribute, "cuDeviceGetAttribute");
#undef TECC_FILL_
  f = symbol(library, "cuTensorMapEncodeTiled");
  memcpy(&table->tensor_map_encode_tiled, &f, sizeof f);
  return missing;
}

/* Contract formulas: exact in 64 bits; / and % floor. What has no value sets *bad. */
static inline int64_t tecc_add_(int64_t a, int64_t b, int* bad) {
  if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b) { *bad = 1; return 0; }
  return a + b;
}
static inline int64_t tecc_sub_(int64_t a, int64_t b, int* bad) {
  if (b < 0 ? a > INT64_MAX + b : a < INT64_MIN + b) { *bad = 1; return 0; }
  return a - b;
}
static inline int64_t tecc_neg_(int64_t a, int* bad) { return tecc_sub_(0, a, bad); }
static inline int64_t tecc_mul_(int64_t a, int64_t b, int* bad) {
  if (a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a) : (b > 0 ? a < INT64_MIN / b : a != 0 && b < INT64_MAX / a)) { *bad = 1; return 0; }
  return a * b;
}
static inline int64_t tecc_div_(int64_t a, int64_t b, int* bad) {
  if (b == 0 || (a == INT64_MIN && b == -1)) { *bad = 1; return 0; }
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
static inline int64_t tecc_mod_(int64_t a, int64_t b, int* bad) {
  int64_t r;
  if (b == 0) { *bad = 1; return 0; }
  if (b == -1) return 0;
  r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static inline int64_t tecc_ceildiv_(int64_t a, int64_t b, int* bad) {
  if (b == 0 || (a == INT64_MIN && b == -1)) { *bad = 1; return 0; }
  return a / b + (a % b != 0 && (a < 0) == (b < 0));
}
static inline int64_t tecc_min_(int64_t a, int64_t b, int* bad) { (void)bad; return a < b ? a : b; }
static inline int64_t tecc_max_(int64_t a, int64_t b, int* bad) { (void)bad; return a > b ? a : b; }
static inline int32_t tecc_i32_(int64_t a, int* bad) {
  if (a < INT32_MIN || a > INT32_MAX) { *bad = 1; return 0; }
  return (int32_t)a;
}
static inline unsigned tecc_grid_(int64_t a, int* bad) {
  if (a < 0 || a > INT32_MAX) { *bad = 1; return 0; }
  return (unsigned)a;
}
static inline void* tecc_map_(tecc_tensor_map* map) { return (void*)(((uintptr_t)map->room + 63) & ~(uintptr_t)63); }

/* 1: a cubin for `arch` (90 for sm_90; suffix 'a', 'f' or 0) runs on the device; 2: its PTX must be compiled; 0: neither. */
static inline int tecc_fit_(int arch, char suffix, int forward_compatible, int device) {
  if (suffix == 'a') return arch == device;
  if (arch / 10 == device / 10 && arch <= device) return 1;
  return !suffix && forward_compatible && arch / 10 < device / 10 ? 2 : 0;
}

/* The whole file with a 0 behind it (PTX is text), from malloc; NULL when it cannot be read. */
static inline void* tecc_read_(const char* folder, const char* name) {
  const size_t folder_bytes = strlen(folder), name_bytes = strlen(name);
  char* path = (char*)malloc(folder_bytes + name_bytes + 2);
  char* bytes = NULL;
  FILE* file;
  long size;
  if (!path) return NULL;
  memcpy(path, folder, folder_bytes);
  path[folder_bytes] = '/';
  memcpy(path + folder_bytes + 1, name, name_bytes + 1);
  file = fopen(path, "rb");
  free(path);
  if (!file) return NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
    bytes = (char*)malloc((size_t)size + 1);
    if (bytes && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
      free(bytes);
      bytes = NULL;
    }
    if (bytes) bytes[size] = 0;
  }
  fclose(file);
  return bytes;
}
#endif
)c";
}

}  // namespace tecc
