#!/usr/bin/env bash
# clang-tidy over the sources (Debian 12's, version 14: apt-get install clang-tidy), with the checks of .clang-tidy. By hand: no build needs it.
#
#   scripts/tidy.sh [FILE ...]      without files: every source of the product and its headers; takes half an hour of one core
#
# Exit code 0 when nothing is found.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-tidy >/dev/null || { echo "clang-tidy is missing (apt-get install clang-tidy)" >&2; exit 1; }
[ -f build/release/compile_commands.json ] || cmake --preset release >/dev/null
[ $# -gt 0 ] || mapfile -t files < <(git ls-files -- {ir,schedule,compiler,codegen,runtime,autotune,python_free_cli,benchmarks}/\*.cpp)
[ $# -eq 0 ] || files=("$@")
code=0
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "${TECC_JOBS:-$(nproc)}" clang-tidy -p build/release --quiet 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2) || code=$?
[ "$code" = 0 ] && echo "${#files[@]} files, nothing found"
exit "$code"
