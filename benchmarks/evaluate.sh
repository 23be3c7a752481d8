#!/usr/bin/env bash
# What docs/tuning.md quotes: searches on the recorded spaces with the picture of their curves, and the model on operators that it has
# not seen. Needs no GPU; some minutes.
#
#   benchmarks/evaluate.sh build/release [FOLDER OF NEW RECORDINGS: they are packed into benchmarks/spaces first, and the shipped model is trained anew]
set -euo pipefail
bin=$1 here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 1 ]; then
  for file in "$2"/*.jsonl; do zstd -qf --ultra -22 "$file" -o "$here/spaces/$(basename "$file").zst"; done
  "$here/spaces/train.sh" "$bin/tecc"
fi
"$bin/tecc_bench_search" "$here/spaces" --model-from "$here/records" --svg "$here/../docs/search_curves.svg"
echo
"$bin/tecc_bench_model" "$here/spaces" "$here/records"
echo
"$bin/tecc_bench_model" --families "$here/spaces" "$here/records" | tail -n 5
