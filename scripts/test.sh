#!/usr/bin/env bash
# Installs what is missing, builds tecc with its tests, runs them, and ends with one line: N passed, N failed.
#
#   scripts/test.sh [--asan]      --asan: with address and undefined-behaviour checks (build/asan)
#
# Exit code 0 when everything built and passed. The counts are test cases: those of Catch2, and one for each of the others
# (examples, consumers).
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
case "${1:-}" in
  "") ;;
  --asan) preset=asan ;;
  *) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

scripts/install-deps.sh
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
start=$SECONDS
cmake --preset "$preset" -DTECC_TESTS=ON "${launcher[@]}" >/dev/null
cmake --build --preset "$preset" -- --quiet
echo "built in $((SECONDS - start)) s"

start=$SECONDS
code=0
limit=600  # s a program
if [ "$preset" = asan ]; then
  limit=3600
  ulimit -s 65536  # KiB: frames with checks are several times as large, and tests nest as deep as is allowed
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  export ASAN_OPTIONS=handle_segv=0  # some tests want a process to die by its signal
fi
rm -f "build/$preset/Testing/Temporary/LastTest.log"
ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --timeout "$limit" -j "$(nproc)" || code=$?
echo "tested in $((SECONDS - start)) s"

# CTest counts programs; its log has what each printed. A program that died before its summary counts as one failed case.
awk -v code="$code" '
  function close_one() {
    if (!open) return
    if (!counted) { if (result == "Passed") passed++; else if (result != "") failed++ }
    else if (result != "Passed" && !bad) failed++
  }
  /^[0-9]+\/[0-9]+ Testing: / { close_one(); open = 1; counted = 0; bad = 0; result = "" }
  /^All tests passed \(/ { match($0, /in [0-9]+ test case/); passed += substr($0, RSTART + 3, RLENGTH - 13); counted = 1 }
  /^No tests ran/ { counted = 1 }
  /^test cases: / {
    counted = 1
    if (match($0, /[0-9]+ passed/)) passed += substr($0, RSTART, RLENGTH - 7)
    if (match($0, /[0-9]+ failed/)) { failed += substr($0, RSTART, RLENGTH - 7); bad = 1 }
  }
  /^Test (Passed|Failed|time)/ { }
  /^Test Passed\./ { result = "Passed" }
  /^Test Failed\.|^Test Timeout|^Test time out|^\*\*\*/ { result = "Failed" }
  END {
    close_one()
    if (code != 0 && failed == 0) failed = 1
    printf "%d passed, %d failed\n", passed, failed
  }' "build/$preset/Testing/Temporary/LastTest.log"
exit "$code"
