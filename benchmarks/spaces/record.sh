#!/usr/bin/env bash
# Records the spaces that searches and models are evaluated on: one file FOLDER/NAME.jsonl a task, each of some 1,200 measured
# points. A file that is there is continued, so a run that was stopped goes on where it was. Compiling is most of the time: one
# H100 with 16 cores needs about a minute a task. TECC_ARCH and POINTS replace `native` and 1250.
#
#   benchmarks/spaces/record.sh TECC FOLDER [SECONDS A TASK, default 60] [NAME ...]
set -euo pipefail
tecc=$1 folder=$2 seconds=${3:-60}
shift $(($# < 3 ? $# : 3))
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"

# name kernel dims types; kernels of at most 100 us on an H100. The rows and sums at the end have spaces of some 36 points.
tasks="
gemm_bf16_2048       gemm            M=2048,N=2048,K=2048                              T=bf16
attention_bf16       attention       B=2,H=8,S=1024,D=64,L=1024                        T=bf16
conv2d_f16           conv2d_nhwc     N=32,H=14,W=14,C=256,R=3,S=3,stride=1,pad=1,O=256 T=f16
gemm_f32_1024        gemm            M=1024,N=1024,K=1024                              T=f32
conv2d_f32           conv2d_nchw     N=1,H=56,W=56,C=64,R=3,S=3,stride=1,pad=1,O=64    T=f32
transpose_f32        transpose       M=4096,N=4096                                     T=f32
gemm_bias_gelu_bf16  gemm_bias_gelu  M=2048,N=2048,K=1024                              T=bf16
bmm_bf16             bmm             B=8,M=1024,N=1024,K=128                           T=bf16
softmax_bf16         softmax         M=4096,N=4096                                     T=bf16
layernorm_bf16       layernorm       M=4096,N=4096                                     T=bf16
rmsnorm_bf16         rmsnorm         M=4096,N=8192                                     T=bf16
rowsum_f32           rowsum          M=4096,N=4096                                     T=f32
"
while read -r name kernel dims types; do
  [ -n "$name" ] || continue
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  echo "== $name"
  "$tecc" survey "$here/operators.te" --kernel "$kernel" --dims "$dims" --types "$types" --arch "${TECC_ARCH:-native}" \
    --out "$folder/$name.jsonl" --points "${POINTS:-1250}" --time "${seconds}s" --verify-every 8 --compile-limit 8000 \
    2> "$folder/$name.log" || echo "$name: failed, see $folder/$name.log"
done <<< "$tasks"
