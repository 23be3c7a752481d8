#!/usr/bin/env bash
# Fuzzes every parser with libFuzzer, address and undefined-behaviour checks (build/fuzz-parsers; needs clang with compiler-rt).
#
#   scripts/fuzz-parsers.sh SECONDS [PARSER ...]      SECONDS a parser; without names all, one after the other
#
# Inputs gather in build/fuzz-parsers/corpus/PARSER. What crashes, takes over 10 s or 2 GB, or leaks is kept in build/fuzz-parsers/found; to run
# one again: TECC_PARSER=NAME build/fuzz-parsers/tecc_fuzz_parsers FILE. Exit code 0 when nothing was found.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
seconds=$1
shift
cd "$(dirname "$0")/.."
command -v clang++ >/dev/null || { echo "clang++ is missing (Debian: clang)" >&2; exit 1; }
build=build/fuzz-parsers
[ -f $build/build.ninja ] || cmake --preset fuzz-parsers >/dev/null
cmake --build --preset fuzz-parsers -- --quiet
[ $# -gt 0 ] || mapfile -t names < <($build/tecc_fuzz_parsers)
[ $# -eq 0 ] || names=("$@")
mkdir -p $build/found
code=0
for name in "${names[@]}"; do
  corpus=$build/corpus/$name
  TECC_PARSER=$name TECC_SEEDS=$corpus $build/tecc_fuzz_parsers
  if TECC_PARSER=$name ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $build/tecc_fuzz_parsers -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
      -max_len=20000 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$name-" "$corpus" >$build/found/$name.log 2>&1; then
    echo "$name: $(awk '/number_of_executed_units/ {print $2}' $build/found/$name.log) inputs, $(find "$corpus" -type f | wc -l) kept, nothing found"
  else
    code=1
    echo "$name: FOUND, see $build/found/$name.log: $(grep -m1 -E 'ERROR|SUMMARY|runtime error|what\(\)' $build/found/$name.log)"
  fi
done
exit $code
