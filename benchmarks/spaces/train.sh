#!/usr/bin/env bash
# Trains the shipped cost models from the spaces of this folder and the records of ../records: targets/models/CLASS.ubj. To be run, and its result committed,
# whenever features change. Needs no GPU; some seconds.
#
#   benchmarks/spaces/train.sh TECC
set -euo pipefail
shopt -s nullglob
here=$(cd "$(dirname "$0")" && pwd)
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
for file in "$here"/*.jsonl.zst "$here"/../records/*.jsonl.zst; do zstd -dqc "$file" > "$unpacked/$(basename "$file" .zst)"; done
mkdir -p "$here/../../targets/models"
"$1" model train --from "$unpacked"/*.jsonl --class sm_90a --out "$here/../../targets/models/sm_90a.ubj"
