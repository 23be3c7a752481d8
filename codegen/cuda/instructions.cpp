#include "codegen/cuda/instructions.h"

#include <fmt/format.h>

#include <algorithm>

namespace tecc::codegen::cuda {

namespace {

struct FunctionRow { std::string_view name, text; };
// clang-format off
constexpr FunctionRow functions[] = {
    {"tecc_smem", R"(__device__ __forceinline__ unsigned tecc_smem(const void* p) { return (unsigned)__cvta_generic_to_shared(p); })"},
    {"tecc_load_words", R"(// tecc_load, but no access is wider than what the pointer's alignment allows.
template <class T, int n, int bytes> __device__ __forceinline__ tecc_vec<T, n> tecc_load_words(const T* p) {
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) u.w[i] = reinterpret_cast<const word*>(p)[i];
  return u.v;
})"},
    {"tecc_put", R"(template <class T, int n, int m> __device__ __forceinline__ void tecc_put(tecc_vec<T, n>& to, int at, tecc_vec<T, m> v) {
#pragma unroll
  for (int i = 0; i < m; ++i) to.lane[at + i] = v.lane[i];
})"},
    {"tecc_store_words", R"(template <int bytes, class T, int n> __device__ __forceinline__ void tecc_store_words(T* p, tecc_vec<T, n> v) {
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
  u.v = v;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) reinterpret_cast<word*>(p)[i] = u.w[i];
})"},
    {"tecc_load_or_zeros", R"(// Zeros where nothing is to be read. Issued where it stands: the compiler must not bring a load that runs ahead closer to its use.
template <class T, int n> __device__ __forceinline__ tecc_vec<T, n> tecc_load_or_zeros(const T* p, bool there) {
  constexpr int bytes = sizeof(T) * n < 16 ? sizeof(T) * n : 16;
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; unsigned u[sizeof(T) * n < 4 ? 1 : sizeof(T) * n / 4]; unsigned short h; } x;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) {
    const word* q = reinterpret_cast<const word*>(p) + i;
    if constexpr (bytes == 16) asm volatile("{.reg .pred p; setp.ne.b32 p, %5, 0; mov.b32 %0, 0; mov.b32 %1, 0; mov.b32 %2, 0; mov.b32 %3, 0; @p ld.global.v4.b32 {%0, %1, %2, %3}, [%4];}" : "=&r"(x.u[4 * i]), "=&r"(x.u[4 * i + 1]), "=&r"(x.u[4 * i + 2]), "=&r"(x.u[4 * i + 3]) : "l"(q), "r"((int)there) : "memory");
    else if constexpr (bytes == 8) asm volatile("{.reg .pred p; setp.ne.b32 p, %3, 0; mov.b32 %0, 0; mov.b32 %1, 0; @p ld.global.v2.b32 {%0, %1}, [%2];}" : "=&r"(x.u[0]), "=&r"(x.u[1]) : "l"(q), "r"((int)there) : "memory");
    else if constexpr (bytes == 4) asm volatile("{.reg .pred p; setp.ne.b32 p, %2, 0; mov.b32 %0, 0; @p ld.global.b32 %0, [%1];}" : "=&r"(x.u[0]) : "l"(q), "r"((int)there) : "memory");
    else if constexpr (bytes == 2) asm volatile("{.reg .pred p; setp.ne.b32 p, %2, 0; mov.b16 %0, 0; @p ld.global.b16 %0, [%1];}" : "=&h"(x.h) : "l"(q), "r"((int)there) : "memory");
    else x.w[i] = there ? *q : word{};
  }
  return x.v;
})"},
    {"tecc_load_once", R"(// What is used once: L2 gives its place away first.
template <class T, int n> __device__ __forceinline__ tecc_vec<T, n> tecc_load_once(const T* p) {
  constexpr int bytes = sizeof(T) * n < 16 ? sizeof(T) * n : 16;
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) u.w[i] = __ldcs(reinterpret_cast<const word*>(p) + i);
  return u.v;
})"},
    {"tecc_store_once", R"(template <class T, int n> __device__ __forceinline__ void tecc_store_once(T* p, tecc_vec<T, n> v) {
  constexpr int bytes = sizeof(T) * n < 16 ? sizeof(T) * n : 16;
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
  u.v = v;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) __stcs(reinterpret_cast<word*>(p) + i, u.w[i]);
})"},
    {"tecc_tensor_map", R"(struct alignas(64) tecc_tensor_map { unsigned long long opaque[16]; };)"},
    {"tecc_barrier_init", R"(__device__ __forceinline__ void tecc_barrier_init(unsigned b, unsigned n) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(b), "r"(n)); })"},
    {"tecc_barrier_init_fence", R"(__device__ __forceinline__ void tecc_barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); })"},
    {"tecc_prefetch_map", R"(__device__ __forceinline__ void tecc_prefetch_map(const tecc_tensor_map* m) { asm volatile("prefetch.tensormap [%0];" :: "l"(m) : "memory"); })"},
    {"tecc_expect", R"(__device__ __forceinline__ void tecc_expect(unsigned b, unsigned bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(b), "r"(bytes) : "memory"); })"},
    {"tecc_arrive", R"(__device__ __forceinline__ void tecc_arrive(unsigned b) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(b) : "memory"); })"},
    {"tecc_arrive_cluster", R"(// At the same barrier of another block. The plain form: `.release.cluster` costs a MEMBAR a time, and what was read was read by wgmma.
__device__ __forceinline__ void tecc_arrive_cluster(unsigned b, int block) {
  asm volatile("{.reg .b32 far; mapa.shared::cluster.u32 far, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [far];}" :: "r"(b), "r"(block) : "memory"); })"},
    {"tecc_cluster_sync", R"(__device__ __forceinline__ void tecc_cluster_sync() { asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory"); })"},
    {"tecc_wait", R"(__device__ __forceinline__ void tecc_wait(unsigned b, unsigned parity) {
  asm volatile("{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra READY;\nbra AGAIN;\nREADY:\n}" :: "r"(b), "r"(parity) : "memory"); })"},
    {"tecc_fence_async", R"(__device__ __forceinline__ void tecc_fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); })"},
    {"tecc_group_barrier", R"(__device__ __forceinline__ void tecc_group_barrier(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); })"},
    {"tecc_launch_next", R"(__device__ __forceinline__ void tecc_launch_next() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); })"},
    {"tecc_await_kernel", R"(__device__ __forceinline__ void tecc_await_kernel() { asm volatile("griddepcontrol.wait;" ::: "memory"); })"},
    {"tecc_await_turn", R"(// Two warpgroups meet at a turn: the one that passes it on does not wait.
__device__ __forceinline__ void tecc_await_turn(int id) { asm volatile("bar.sync %0, 256;" :: "r"(id) : "memory"); })"},
    {"tecc_pass_turn", R"(__device__ __forceinline__ void tecc_pass_turn(int id) { asm volatile("bar.arrive %0, 256;" :: "r"(id) : "memory"); })"},
    {"tecc_ex2", R"(__device__ __forceinline__ float tecc_ex2(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; })"},
    {"tecc_rcp", R"(__device__ __forceinline__ float tecc_rcp(float x) { float r; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; })"},
    {"tecc_fewer_registers", R"(template <int n> __device__ __forceinline__ void tecc_fewer_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(n)); })"},
    {"tecc_more_registers", R"(template <int n> __device__ __forceinline__ void tecc_more_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(n)); })"},
    {"tecc_commit_bulk", R"(__device__ __forceinline__ void tecc_commit_bulk() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); })"},
    {"tecc_await_bulk_read", R"(template <int n> __device__ __forceinline__ void tecc_await_bulk_read() { asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(n) : "memory"); })"},
    {"tecc_await_bulk", R"(template <int n> __device__ __forceinline__ void tecc_await_bulk() { asm volatile("cp.async.bulk.wait_group %0;" :: "n"(n) : "memory"); })"},
    {"tecc_bulk_load", R"(__device__ __forceinline__ void tecc_bulk_load(unsigned to, const void* from, unsigned bytes, unsigned barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory"); })"},
    {"tecc_bulk_store", R"(__device__ __forceinline__ void tecc_bulk_store(void* to, unsigned from, unsigned bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" :: "l"(to), "r"(from), "r"(bytes) : "memory"); })"},
    {"tecc_wgmma_fence", R"(__device__ __forceinline__ void tecc_wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); })"},
    {"tecc_wgmma_commit", R"(__device__ __forceinline__ void tecc_wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); })"},
    {"tecc_wgmma_wait", R"(template <int n> __device__ __forceinline__ void tecc_wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(n) : "memory"); })"},
    {"tecc_descriptor", R"(// A wgmma operand in shared memory (PTX ISA, "Matrix descriptor"): distances in bytes; swizzle 1, 2, 3 for 128, 64, 32 bytes.
template <int leading, int stride, int swizzle> __device__ __forceinline__ unsigned long long tecc_descriptor(unsigned address) {
  return (unsigned long long)((address & 0x3ffff) >> 4) | (unsigned long long)(leading >> 4) << 16 | (unsigned long long)(stride >> 4) << 32 | (unsigned long long)swizzle << 62; })"},
    {"tecc_swizzle", R"(// Byte address bits 4.. xored with bits 7.., as bulk tensor copies and wgmma do over spans of 32, 64 or 128 bytes.
template <class T, int span> __device__ __forceinline__ int tecc_swizzle(int element) {
  const int byte = element * (int)sizeof(T);
  return (byte ^ ((byte >> 3) & (span - 16))) / (int)sizeof(T); })"},
    {"tecc_commit_copies", R"(__device__ __forceinline__ void tecc_commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); })"},
    {"tecc_await_copies", R"(template <int n> __device__ __forceinline__ void tecc_await_copies() { asm volatile("cp.async.wait_group %0;" :: "n"(n) : "memory"); })"},
    {"tecc_copy_async", R"(// 16 bytes pass by L1. Where `there` is false nothing is read and zeros are written.
template <int bytes> __device__ __forceinline__ void tecc_copy_async(unsigned to, const void* from, bool there) {
  const unsigned long long g = (unsigned long long)__cvta_generic_to_global(from);
  if constexpr (bytes == 16) asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" :: "r"(to), "l"(g), "r"(there ? 16 : 0) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" :: "r"(to), "l"(g), "n"(bytes), "r"(there ? bytes : 0) : "memory"); })"},
    {"tecc_copy_run", R"(// 16 bytes from any place: the words that they lie in, shifted. Behind the first `count` elements zeros; no word without one of them is read.
template <class T> __device__ __forceinline__ void tecc_copy_run(T* to, const T* from, int count) {
  const unsigned off = (unsigned)(unsigned long long)from & 3;
  const unsigned* words = reinterpret_cast<const unsigned*>((unsigned long long)from - off);
  const int bytes = tecc_max<int>(0, tecc_min<int>(count * (int)sizeof(T), 16));
  unsigned w[5], out[4];
#pragma unroll
  for (int i = 0; i < 5; ++i) w[i] = bytes && 4 * i < (int)off + bytes ? words[i] : 0u;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    asm("shf.r.wrap.b32 %0, %1, %2, %3;" : "=r"(out[i]) : "r"(w[i]), "r"(w[i + 1]), "r"(8 * off));
    const int left = bytes - 4 * i;
    if (left < 4) out[i] = left <= 0 ? 0u : out[i] & ((1u << (8 * left)) - 1);
  }
  *reinterpret_cast<uint4*>(to) = make_uint4(out[0], out[1], out[2], out[3]); })"},
    {"tecc_ldmatrix", R"(// Each group of eight lanes names the rows of one matrix.
template <bool transposed> __device__ __forceinline__ void tecc_ldmatrix(unsigned p, unsigned& a) {
  if constexpr (transposed) asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(a) : "r"(p) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(a) : "r"(p) : "memory"); }
template <bool transposed> __device__ __forceinline__ void tecc_ldmatrix(unsigned p, unsigned& a, unsigned& b) {
  if constexpr (transposed) asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(a), "=r"(b) : "r"(p) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(a), "=r"(b) : "r"(p) : "memory"); }
template <bool transposed> __device__ __forceinline__ void tecc_ldmatrix(unsigned p, unsigned& a, unsigned& b, unsigned& c, unsigned& d) {
  if constexpr (transposed) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(p) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "r"(p) : "memory"); })"},
    {"tecc_stmatrix", R"(template <class T> __device__ __forceinline__ void tecc_stmatrix(T* p, tecc_vec<T, 8> v) {
  union { tecc_vec<T, 8> v; unsigned w[4]; } u;
  u.v = v;
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" :: "r"(tecc_smem(p)), "r"(u.w[0]), "r"(u.w[1]), "r"(u.w[2]), "r"(u.w[3]) : "memory"); })"},
    {"tecc_stmatrix_transposed", R"(template <class T> __device__ __forceinline__ void tecc_stmatrix_transposed(T* p, tecc_vec<T, 8> v) {
  union { tecc_vec<T, 8> v; unsigned w[4]; } u;
  u.v = v;
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" :: "r"(tecc_smem(p)), "r"(u.w[0]), "r"(u.w[1]), "r"(u.w[2]), "r"(u.w[3]) : "memory"); })"},
};
/// What a function's text uses; printed before it.
struct Needs { std::string_view name, needs; };
constexpr Needs needs[] = {{"tecc_prefetch_map", "tecc_tensor_map"}, {"tecc_stmatrix", "tecc_smem"}, {"tecc_stmatrix_transposed", "tecc_smem"}, {"tecc_barrier_init", "tecc_smem"}, {"tecc_descriptor", "tecc_smem"}};
// clang-format on

std::string list(std::size_t first, std::size_t count) {
  std::string out;
  for (std::size_t n = 0; n < count; ++n) out += fmt::format("{}%{}", n ? ", " : "", first + n);
  return out;
}

std::string text_of(const std::string& name, TensorCopy copy, std::size_t rank, bool hint) {
  const bool share = copy == TensorCopy::share;
  std::string parameters, operands;
  for (std::size_t d = 0; d < rank; ++d) parameters += fmt::format(", int c{}", d), operands += fmt::format(", \"r\"(c{})", d);
  const std::size_t first = copy == TensorCopy::load ? 3 : share ? 4 : 2;
  if (hint) parameters += ", unsigned long long policy", operands += ", \"l\"(policy)";
  const std::string suffix = hint ? ".L2::cache_hint" : "", policy = hint ? fmt::format(", %{}", first + rank) : "";
  if (copy != TensorCopy::store)
    return fmt::format("__device__ __forceinline__ void {}(unsigned to, const tecc_tensor_map* map, unsigned barrier{}{}) {{\n"
                       "  asm volatile(\"cp.async.bulk.tensor.{}d.shared::cluster.global.mbarrier::complete_tx::bytes{}{} [%0], [%1, {{{}}}], [%2]{}{};\" :: \"r\"(to), \"l\"(map), \"r\"(barrier){}{} : \"memory\"); }}\n",
                       name, share ? ", unsigned short blocks" : "", parameters, rank, share ? ".multicast::cluster" : "", suffix, list(first, rank), share ? ", %3" : "", policy, share ? ", \"h\"(blocks)" : "", operands);
  return fmt::format("__device__ __forceinline__ void {}(const tecc_tensor_map* map, unsigned from{}) {{\n"
                     "  asm volatile(\"cp.async.bulk.tensor.{}d.global.shared::cta.bulk_group{} [%0, {{{}}}], [%1]{};\" :: \"l\"(map), \"r\"(from){} : \"memory\"); }}\n",
                     name, parameters, rank, suffix, list(first, rank), policy, operands);
}

/// The bulk copy of that name; empty for other names.
std::string tensor_copy(const std::string& name) {
  if (!name.starts_with("tecc_bulk_")) return {};
  for (const TensorCopy copy : {TensorCopy::load, TensorCopy::share, TensorCopy::store})
    for (std::size_t rank = 1; rank <= 5; ++rank)
      for (const bool hint : {false, true})
        if (name == tensor_copy_function(copy, rank, hint)) return text_of(name, copy, rank, hint);
  return {};
}

struct TypeWord { DType type; std::string_view word; };
constexpr TypeWord type_words[] = {{DType::bf16, "bf16"}, {DType::f16, "f16"}, {DType::tf32, "tf32"}, {DType::e4m3, "e4m3"},
    {DType::e5m2, "e5m2"}, {DType::i8, "s8"}, {DType::u8, "u8"}, {DType::f32, "f32"}, {DType::i32, "s32"}};
std::string_view word(DType t) {
  return std::find_if(std::begin(type_words), std::end(type_words), [&](const TypeWord& w) { return w.type == t; })->word;
}

/// One wgmma: D (+)= A * B with D in n / 2 registers.
std::string wgmma_function(const std::string& name) {
  for (const Instruction& i : instructions()) {
    if (i.via != loop::Via::wgmma) continue;
    for (std::int64_t n = i.n_step; n <= i.n_most; n += i.n_step)
      for (int bits = 0; bits < 8; ++bits) {
        const bool registers = bits & 4, ta = bits & 2, tb = bits & 1;
        if (product_function(i, n, registers, ta, tb) != name) continue;
        const bool whole = i.d == DType::i32;
        const std::int64_t r = n / 2;
        std::string outs;
        for (std::int64_t k = 0; k < r; ++k) outs += fmt::format("{}\"+{}\"(d[{}])", k ? ", " : "", whole ? "r" : "f", k);
        const std::string a = registers ? fmt::format("{{{}}}", list(r, 4)) : fmt::format("%{}", r);
        const std::int64_t b = r + (registers ? 4 : 1);
        std::string tail = whole ? "" : ", 1, 1";
        if (i.transposed) tail += registers ? fmt::format(", {}", static_cast<int>(tb)) : fmt::format(", {}, {}", static_cast<int>(ta), static_cast<int>(tb));
        return fmt::format(
            "__device__ __forceinline__ void {}({} (&d)[{}], {}, unsigned long long b, int add) {{\n"
            "  asm volatile(\"{{.reg .pred p; setp.ne.b32 p, %{}, 0; wgmma.mma_async.sync.aligned.m64n{}k{}.{}.{}.{} {{{}}}, {}, %{}, p{};}}\"\n    : {} : {}, \"l\"(b), \"r\"(add)); }}\n",
            name, whole ? "int" : "float", r, registers ? "const unsigned (&a)[4]" : "unsigned long long a", b + 1, n, i.k, word(i.d), word(i.a), word(i.b), list(0, r), a, b, tail,
            outs, registers ? "\"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3])" : "\"l\"(a)");
      }
  }
  return {};
}

/// One mma.sync: D += A * B. Operands of tf32 are rounded here.
std::string mma_function(const std::string& name) {
  for (const Instruction& i : instructions()) {
    if (i.via != loop::Via::mma_sync || product_function(i, i.n_most, true, false, false) != name) continue;
    const bool whole = i.d == DType::i32;
    const auto operand = [&](DType type, std::int64_t words, char from) {
      std::string out;
      for (std::int64_t n = 0; n < words; ++n) {
        const std::string word = fmt::format("{}[{}]", from, n);
        out += fmt::format("{}\"r\"({})", n ? ", " : "", type == DType::tf32 ? fmt::format("__float_as_uint(tecc_to_tf32(__uint_as_float({})))", word) : word);
      }
      return out;
    };
    return fmt::format(
        "__device__ __forceinline__ void {}({} (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {{\n"
        "  asm(\"mma.sync.aligned.m16n8k{}.row.col.{}.{}.{}.{} {{%0, %1, %2, %3}}, {{%4, %5, %6, %7}}, {{%8, %9}}, {{%0, %1, %2, %3}};\"\n"
        "      : \"+{r}\"(d[0]), \"+{r}\"(d[1]), \"+{r}\"(d[2]), \"+{r}\"(d[3]) : {}, {}); }}\n",
        name, whole ? "int" : "float", i.k, word(i.d), word(i.a), word(i.b), word(i.d), operand(i.a, 4, 'a'), operand(i.b, 2, 'b'), fmt::arg("r", whole ? "r" : "f"));
  }
  return {};
}

}  // namespace

std::string product_function(const Instruction& i, std::int64_t n, bool a_registers, bool a_transposed, bool b_transposed) {
  if (i.via == loop::Via::mma_sync) return fmt::format("tecc_mma_m16n8k{}_{}_{}_{}", i.k, word(i.d), word(i.a), word(i.b));
  return fmt::format("tecc_wgmma_m64n{}k{}_{}_{}_{}_{}s_{}{}", n, i.k, word(i.d), word(i.a), word(i.b), a_registers ? 'r' : 's', static_cast<int>(a_transposed), static_cast<int>(b_transposed));
}

std::string tensor_copy_function(TensorCopy copy, std::size_t rank, bool hint) {
  return fmt::format("tecc_bulk_{}_{}d{}", copy == TensorCopy::load ? "load" : copy == TensorCopy::share ? "share" : "store", rank, hint ? "_hint" : "");
}

std::string instruction_functions(const std::set<std::string>& names) {
  std::set<std::string> all = names;
  for (const Needs& n : needs)
    if (all.count(std::string(n.name))) all.insert(std::string(n.needs));
  std::string copies;
  for (const std::string& n : all) copies += tensor_copy(n);
  if (!copies.empty()) all.insert("tecc_tensor_map");
  std::string out;
  for (const FunctionRow& f : functions)
    if (all.count(std::string(f.name))) out += std::string(f.text) + "\n";
  out += copies;
  for (const std::string& n : all) {
    if (n.starts_with("tecc_wgmma_m")) out += wgmma_function(n);
    if (n.starts_with("tecc_mma_m")) out += mma_function(n);
  }
  return out;
}

}  // namespace tecc::codegen::cuda
