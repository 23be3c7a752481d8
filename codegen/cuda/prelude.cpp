#include "codegen/cuda/prelude.h"

namespace tecc::codegen::cuda {

const std::string_view prelude = R"cuda(
// ---- types of 16 and 8 bits: bits in memory, f32 in arithmetic ---------------------------------------------------------
struct tecc_f16 { unsigned short bits; };
struct tecc_bf16 { unsigned short bits; };
struct tecc_e4m3 { unsigned char bits; };
struct tecc_e5m2 { unsigned char bits; };
__device__ __forceinline__ float tecc_to_f32(tecc_f16 x) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x.bits)); return r; }
__device__ __forceinline__ float tecc_to_f32(tecc_bf16 x) { return __int_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ float tecc_to_f32(float x) { return x; }
__device__ __forceinline__ tecc_f16 tecc_to_f16(float x) { tecc_f16 r; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(x)); return r; }
__device__ __forceinline__ tecc_bf16 tecc_to_bf16(float x) { tecc_bf16 r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.bits) : "f"(x)); return r; }
__device__ __forceinline__ float tecc_to_tf32(float x) { unsigned r; asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x)); return __int_as_float(r); }
#if __CUDA_ARCH__ >= 890
__device__ __forceinline__ float tecc_to_f32(tecc_e4m3 x) {
  unsigned h; asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(h) : "h"((unsigned short)x.bits)); return tecc_to_f32(tecc_f16{(unsigned short)h}); }
__device__ __forceinline__ float tecc_to_f32(tecc_e5m2 x) { return tecc_to_f32(tecc_f16{(unsigned short)(x.bits << 8)}); }
__device__ __forceinline__ tecc_e4m3 tecc_to_e4m3(float x) {
  unsigned short r; asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(r) : "f"(0.0f), "f"(x)); return tecc_e4m3{(unsigned char)r}; }
__device__ __forceinline__ tecc_e5m2 tecc_to_e5m2(float x) {
  unsigned short r; asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(r) : "f"(0.0f), "f"(x)); return tecc_e5m2{(unsigned char)r}; }
#else
__device__ __forceinline__ float tecc_small_to_f32(unsigned bits, int mantissa, int bias) {
  const unsigned exponent = (bits & 0x7f) >> mantissa, fraction = bits & ((1u << mantissa) - 1);
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * (float)fraction * __int_as_float((128 - bias - mantissa) << 23);
  return sign * (1.0f + (float)fraction / (float)(1 << mantissa)) * __int_as_float((127 + (int)exponent - bias) << 23);
}
__device__ __forceinline__ float tecc_to_f32(tecc_e4m3 x) {
  return (x.bits & 0x7f) == 0x7f ? __int_as_float(0x7fc00000) : tecc_small_to_f32(x.bits, 3, 7); }
__device__ __forceinline__ float tecc_to_f32(tecc_e5m2 x) { return tecc_to_f32(tecc_f16{(unsigned short)(x.bits << 8)}); }
__device__ __forceinline__ unsigned char tecc_to_small(float x, int mantissa, int bias, float largest, unsigned nan) {
  const unsigned sign = __float_as_uint(x) >> 24 & 0x80;
  const float a = fabsf(x);
  if (x != x) return (unsigned char)(sign | nan);
  if (a >= largest) return (unsigned char)(sign | (largest == 448.0f ? 0x7e : 0x7b));
  const int exponent = max((int)(__float_as_uint(a) >> 23) - 127, 1 - bias);
  const float quantum = __int_as_float((127 + exponent - mantissa) << 23);
  const unsigned steps = (unsigned)rintf(a / quantum);  // up to 2^(mantissa+1), which carries into the exponent
  return (unsigned char)(sign | (steps + (steps >> mantissa ? (unsigned)(exponent + bias - 1) << mantissa : 0u)));
}
__device__ __forceinline__ tecc_e4m3 tecc_to_e4m3(float x) { return {tecc_to_small(x, 3, 7, 448.0f, 0x7f)}; }
__device__ __forceinline__ tecc_e5m2 tecc_to_e5m2(float x) { return {tecc_to_small(x, 2, 15, 57344.0f, 0x7e)}; }
#endif
// Bytes as floats, exactly, without the slow conversion unit: 2^23 + x has x in its low bits.
__device__ __forceinline__ float tecc_to_f32(signed char x) { return __uint_as_float(0x4b000080u ^ (unsigned char)x) - 8388736.0f; }
__device__ __forceinline__ float tecc_to_f32(unsigned char x) { return __uint_as_float(0x4b000000u | x) - 8388608.0f; }
// ---- numbers: floats truncate and saturate to integers, NaN gives 0 ----------------------------------------------------
__device__ __forceinline__ long long tecc_to_i64(double x) { return x != x ? 0ll : __double2ll_rz(x); }
__device__ __forceinline__ long long tecc_to_i64(float x) { return x != x ? 0ll : __float2ll_rz(x); }
__device__ __forceinline__ int tecc_to_i32(float x) { return __float2int_rz(x); }
__device__ __forceinline__ int tecc_to_i32(double x) { return x != x ? 0 : __double2int_rz(x); }
template <class F> __device__ __forceinline__ short tecc_to_i16(F x) { return (short)max(-32768, min(32767, tecc_to_i32(x))); }
template <class F> __device__ __forceinline__ signed char tecc_to_i8(F x) { return (signed char)max(-128, min(127, tecc_to_i32(x))); }
template <class F> __device__ __forceinline__ unsigned char tecc_to_u8(F x) { return (unsigned char)max(0, min(255, tecc_to_i32(x))); }
template <class I> __device__ __forceinline__ I tecc_floor_div(I a, I b) { I q = a / b; return q - (I)((a % b != 0) && ((a < 0) != (b < 0))); }
template <class I> __device__ __forceinline__ I tecc_floor_mod(I a, I b) { I r = a % b; return r + (((r != 0) && ((r < 0) != (b < 0))) ? b : (I)0); }
template <class I> __device__ __forceinline__ I tecc_min(I a, I b) { return b < a ? b : a; }
template <class I> __device__ __forceinline__ I tecc_max(I a, I b) { return a < b ? b : a; }
template <> __device__ __forceinline__ float tecc_min<float>(float a, float b) { float r; asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }
template <> __device__ __forceinline__ float tecc_max<float>(float a, float b) { float r; asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b)); return r; }
template <> __device__ __forceinline__ double tecc_min<double>(double a, double b) { return a != a ? a : b != b ? b : fmin(a, b); }
template <> __device__ __forceinline__ double tecc_max<double>(double a, double b) { return a != a ? a : b != b ? b : fmax(a, b); }
__device__ __forceinline__ float tecc_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ double tecc_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
template <class F> __device__ __forceinline__ F tecc_square(F x) { return x * x; }
// ---- vectors: several elements in one access ---------------------------------------------------------------------------
template <int bytes> struct tecc_word;
template <> struct tecc_word<1> { typedef unsigned char type; };
template <> struct tecc_word<2> { typedef unsigned short type; };
template <> struct tecc_word<4> { typedef unsigned type; };
template <> struct tecc_word<8> { typedef uint2 type; };
template <> struct tecc_word<16> { typedef uint4 type; };
template <class T, int n> struct alignas(sizeof(T) * n < 16 ? sizeof(T) * n : 16) tecc_vec { T lane[n]; };
template <class T, int n> __device__ __forceinline__ tecc_vec<T, n> tecc_load(const T* p) {
  constexpr int bytes = sizeof(T) * n < 16 ? sizeof(T) * n : 16;
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) u.w[i] = reinterpret_cast<const word*>(p)[i];
  return u.v;
}
template <class T, int n> __device__ __forceinline__ void tecc_store(T* p, tecc_vec<T, n> v) {
  constexpr int bytes = sizeof(T) * n < 16 ? sizeof(T) * n : 16;
  typedef typename tecc_word<bytes>::type word;
  union { tecc_vec<T, n> v; word w[sizeof(T) * n / bytes]; } u;
  u.v = v;
#pragma unroll
  for (int i = 0; i < (int)(sizeof(T) * n / bytes); ++i) reinterpret_cast<word*>(p)[i] = u.w[i];
}
// ---- reductions across threads -----------------------------------------------------------------------------------------
struct tecc_op_sum { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a + b; } };
struct tecc_op_prod { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a * b; } };
struct tecc_op_min { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return tecc_min(a, b); } };
struct tecc_op_max { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return tecc_max(a, b); } };
struct tecc_op_any { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return (T)(a || b); } };
struct tecc_op_all { template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return (T)(a && b); } };
template <class Op, int n, class T> __device__ __forceinline__ T tecc_tree(const T* x) {
  if constexpr (n == 1) return x[0];
  else return Op{}(tecc_tree<Op, n / 2>(x), tecc_tree<Op, n - n / 2>(x + n / 2));
}
template <class T> struct tecc_at { T value; long long position; };
// The larger (smaller) value, the smallest position on ties; NaN before all; position -1: nothing yet.
template <bool largest, class T> __device__ __forceinline__ tecc_at<T> tecc_better(tecc_at<T> a, tecc_at<T> b) {
  if (a.position < 0) return b;
  if (b.position < 0) return a;
  const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  const bool tie = (nan_a && nan_b) || a.value == b.value;
  const bool second = tie ? b.position < a.position : nan_b || (!nan_a && (largest ? b.value > a.value : b.value < a.value));
  return second ? b : a;
}
struct tecc_op_argmax { template <class T> __device__ __forceinline__ tecc_at<T> operator()(tecc_at<T> a, tecc_at<T> b) const { return tecc_better<true>(a, b); } };
struct tecc_op_argmin { template <class T> __device__ __forceinline__ tecc_at<T> operator()(tecc_at<T> a, tecc_at<T> b) const { return tecc_better<false>(a, b); } };
enum tecc_lane { tecc_xor, tecc_up, tecc_from };
// The value of another lane: lane ^ n, lane - n, or lane n; in words of 32 bits.
template <tecc_lane which, class T> __device__ __forceinline__ T tecc_shuffle(T x, unsigned mask, int n) {
  union { T value; unsigned word[(sizeof(T) + 3) / 4]; } u;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(T) + 3) / 4); ++i) u.word[i] = 0;
  u.value = x;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(T) + 3) / 4); ++i)
    u.word[i] = which == tecc_xor ? __shfl_xor_sync(mask, u.word[i], n) : which == tecc_up ? __shfl_up_sync(mask, u.word[i], n) : __shfl_sync(mask, u.word[i], n);
  return u.value;
}
// x of `threads` threads, `stride` apart, in a block of `block` threads; everyone gets the whole.
template <class Op, int threads, int stride, int block, class T> __device__ __forceinline__ T tecc_combine(T x, void* memory) {
  constexpr Op op{};
  constexpr bool neighbours = stride == 1 && (threads & (threads - 1)) == 0 && threads <= 32;
  const int tid = threadIdx.x;
  const int first = tid & ~31;
  const unsigned mask = block % 32 == 0 || block - first >= 32 ? 0xffffffffu : (1u << (block - first)) - 1;
  if constexpr (neighbours) {
#pragma unroll
    for (int lanes = threads / 2; lanes > 0; lanes /= 2) x = op(x, tecc_shuffle<tecc_xor>(x, mask, lanes));
    return x;
  } else if constexpr (stride == 1 && threads % 32 == 0) {
    T* scratch = reinterpret_cast<T*>(memory);
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) x = op(x, tecc_shuffle<tecc_xor>(x, mask, lanes));
    __syncthreads();
    if (tid % 32 == 0) scratch[tid / 32] = x;
    __syncthreads();
    const int group = tid / threads * (threads / 32);
    T sum = scratch[group];
#pragma unroll
    for (int i = 1; i < threads / 32; ++i) sum = op(sum, scratch[group + i]);
    return sum;
  } else {
    T* scratch = reinterpret_cast<T*>(memory);
    __syncthreads();
    scratch[tid] = x;
    __syncthreads();
    const int from = tid - tid / stride % threads * stride;
    T sum = scratch[from];
    for (int i = 1; i < threads; ++i) sum = op(sum, scratch[from + i * stride]);
    return sum;
  }
}
// A scan: before = carry (+) x of the threads with smaller numbers, carry = carry (+) x of all. Every thread enters with the same carry.
template <class Op, int threads, int stride, int block, class T> __device__ __forceinline__ void tecc_scan(T x, T& before, T& carry, void* memory) {
  constexpr Op op{};
  constexpr int warps = stride == 1 && threads % 32 == 0 ? threads / 32 : 0;
  const int tid = threadIdx.x;
  const int lane = tid % 32, first = tid - lane;
  const unsigned mask = block % 32 == 0 || block - first >= 32 ? 0xffffffffu : (1u << (block - first)) - 1;
  T* scratch = reinterpret_cast<T*>(memory);
  before = carry;
  if constexpr (stride == 1 && (threads & (threads - 1)) == 0 && threads <= 32) {
    const int place = lane % threads, last = lane - place + threads - 1;
#pragma unroll
    for (int lanes = 1; lanes < threads; lanes *= 2) {
      const T left = tecc_shuffle<tecc_up>(x, mask, lanes);
      if (place >= lanes) x = op(left, x);
    }
    const T left = tecc_shuffle<tecc_up>(x, mask, 1);
    if (place > 0) before = op(carry, left);
    carry = op(carry, tecc_shuffle<tecc_from>(x, mask, last));
  } else if constexpr (warps > 0) {
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      const T left = tecc_shuffle<tecc_up>(x, mask, lanes);
      if (lane >= lanes) x = op(left, x);
    }
    __syncthreads();
    if (lane == 31) scratch[tid / 32] = x;
    __syncthreads();
    const int group = tid / threads * warps;
#pragma unroll
    for (int i = 0; i < warps; ++i) {
      if (group + i < tid / 32) before = op(before, scratch[group + i]);
      carry = op(carry, scratch[group + i]);
    }
    const T left = tecc_shuffle<tecc_up>(x, mask, 1);
    if (lane > 0) before = op(before, left);
  } else {
    __syncthreads();
    scratch[tid] = x;
    __syncthreads();
    const int place = tid / stride % threads, from = tid - place * stride;
    for (int i = 0; i < threads; ++i) {
      if (i < place) before = op(before, scratch[from + i * stride]);
      carry = op(carry, scratch[from + i * stride]);
    }
  }
}
)cuda";

}  // namespace tecc::codegen::cuda
