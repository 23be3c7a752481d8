#pragma once
#include <string>

// The contracts that several tests use: the example of the contract's own page, and a small one for the CPU.
namespace tecc {

inline const std::string gemm_contract = R"json({
  "contract": 1,
  "name": "gemm_nt",
  "made_by": {"tecc": "0.1.0", "toolkit": "13.0"},
  "types": {"T": "bf16"},
  "dims": {"M": {"value": 4096}, "N": {"min": 1, "max": 65536, "multiple_of": 8}, "K": {"value": 4096}},
  "constraints": ["K % 8"],
  "buffers": [
    {"name": "A",  "role": "input",     "dtype": "bf16", "shape": ["M", "K"], "strides": ["K", "1"], "align": 16},
    {"name": "B",  "role": "constant",  "dtype": "bf16", "shape": ["N", "K"], "strides": ["K", "1"], "align": 16, "file": "weights.bin", "offset": 0, "bytes": "2*N*K", "sha256": "00ff"},
    {"name": "alpha", "role": "scalar", "dtype": "f32"},
    {"name": "C",  "role": "output",    "dtype": "bf16", "shape": ["M", "N"], "strides": ["N", "1"], "align": 16},
    {"name": "ws", "role": "workspace", "bytes": "4*M*N", "align": 256, "zero_before": true, "zero_after": false}
  ],
  "variants": [
    {"target": {"kind": "cuda", "arch": "sm_90a", "forward_compatible": false},
     "when": {"multiple_of": {"M": 2}, "min": {"M": 1}, "max": {"M": 65536}, "align": {"A": 16}},
     "once": [],
     "launches": [
       {"kernel": "gemm_nt", "image": "gemm_nt.cubin", "ptx": "gemm_nt.ptx",
        "grid": ["min(ceildiv(M,128)*ceildiv(N,256),sm_count)", "1", "1"], "block": [384, 1, 1], "cluster": [2, 1, 1],
        "shared_bytes": 230656, "cooperative": false, "programmatic_dependent": false,
        "args": [
          {"kind": "tensor_map", "mode": "tiled", "buffer": "A", "offset_bytes": "0", "dtype": "bf16", "dims": ["K", "M"],
           "strides_bytes": ["2*K"], "box": [64, 128], "element_strides": [1, 1], "interleave": "none",
           "swizzle": "128B", "l2_promotion": "256B", "oob_fill": "zero"},
          {"kind": "buffer", "buffer": "B", "offset_bytes": "0"},
          {"kind": "buffer", "buffer": "C", "offset_bytes": "0"},
          {"kind": "buffer", "buffer": "ws", "offset_bytes": "0"},
          {"kind": "scalar", "type": "i32", "value": "M"},
          {"kind": "scalar", "type": "f32", "value": "alpha"},
          {"kind": "scalar", "type": "f32", "value": 0.5},
          {"kind": "scalar", "type": "i64", "value": 3}
        ]}
     ]}
  ],
  "numerics": {"accumulate": "f32", "rtol": 1e-2, "atol": 1e-2, "deterministic": true, "verified": true},
  "expression": "gemm_nt.te", "schedule": "gemm_nt.schedule", "record": null
})json";

/// y = alpha * x + y over n floats in blocks of 100 a task, with a workspace that a test can look at.
inline const std::string cpu_contract = R"json({
  "contract": 1, "name": "axpy", "made_by": {"tecc": "0.1.0"}, "types": {},
  "dims": {"n": {"min": 4, "max": 1000000, "multiple_of": 4}, "c": {"value": 100}},
  "constraints": [],
  "buffers": [
    {"name": "x", "role": "input", "dtype": "f32", "shape": ["n"], "strides": ["1"], "align": 16},
    {"name": "alpha", "role": "scalar", "dtype": "f32"},
    {"name": "y", "role": "inout", "dtype": "f32", "shape": ["n"], "strides": ["1"], "align": 16},
    {"name": "ws", "role": "workspace", "bytes": "4*ceildiv(n,c)", "align": 64, "zero_before": true, "zero_after": false}
  ],
  "variants": [
    {"target": {"kind": "cpu", "triple": "", "features": ""}, "when": {}, "once": [],
     "launches": [{"object": "axpy.o", "symbol": "axpy_0", "tasks": "ceildiv(n,c)"}]}
  ],
  "numerics": {"accumulate": "f32", "rtol": 1e-6, "atol": 1e-6, "deterministic": true, "verified": true}
})json";

}  // namespace tecc
