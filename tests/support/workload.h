#pragma once
#include "codegen/build.h"
#include "tests/support/te.h"

namespace tecc::test {

/// An expression with its extents, types and alignments, each written as in the command line.
inline codegen::Workload workload(const std::string& text, const std::string& dims, const std::string& types = "", const std::string& alignments = "") {
  const te::Bindings b{require(te::parse_dims(dims)), require(te::parse_type_bindings(types)), require(te::parse_alignments(alignments))};
  return require(codegen::make_workload(kernel(text), b));
}

/// The product of two matrices of f32, M x K and K x N.
inline codegen::Workload gemm(int m, int n, int k) {
  return workload("kernel mm(A: f32[M, K], B: f32[K, N]) -> (C) { C[i: M, j: N] = sum[k: K](A[i, k] * B[k, j]) }", "M=" + std::to_string(m) + ",N=" + std::to_string(n) + ",K=" + std::to_string(k));
}
inline codegen::Workload gemm(int size = 256) { return gemm(size, size, size); }

}  // namespace tecc::test
