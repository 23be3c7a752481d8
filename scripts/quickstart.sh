#!/usr/bin/env bash
# From a fresh checkout to a tuned kernel: installs what is missing, builds the tool, tunes an f32 matrix product of
# 1024 x 1024 x 1024 on the GPU where there is one (else on the CPU), and compares it with the naive loop nest.
#
#   scripts/quickstart.sh [SECONDS]      time for tuning, 30 by default
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30}

scripts/install-deps.sh
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
start=$SECONDS
cmake --preset release -DTECC_TESTS=OFF "${launcher[@]}" >/dev/null
cmake --build --preset release --target tecc -- --quiet
echo "built build/release/tecc in $((SECONDS - start)) s"

out=build/quickstart
mkdir -p "$out"
operator=(examples/cases/gemm.te --dims M=1024,N=1024,K=1024 --types T=f32)

# GFLOP/s of one way to run it, the median of several runs.
gflops() {
  build/release/tecc run "${operator[@]}" "$@" --bench --json | sed -nE 's/.*"gflops": *([0-9.e+]+).*/\1/p' | awk '{printf "%.1f", $1}'
}

# On a GPU the naive nest still needs threads: one for each element of the result, nothing else.
naive=naive
if build/release/tecc devices --json | grep -q '"arch": *"sm_'; then
  naive=$out/naive.schedule
  cat >"$naive" <<'END'
j0, j1 = split(C.j, 128); bind([C.i, j0], block); bind(j1, thread)
END
fi

build/release/tecc tune "${operator[@]}" --time "${seconds}s" --records "$out/records.db"
untuned=$(gflops --schedule "$naive")
tuned=$(gflops --records "$out/records.db")
build/release/tecc build "${operator[@]}" --records "$out/records.db" --out-dir "$out/gemm" >/dev/null
echo
echo "naive nest: $untuned GFLOP/s"
echo "tuned:      $tuned GFLOP/s"
echo "artifact:   $out/gemm (launch contract $out/gemm/gemm.json, C header and example beside it)"
