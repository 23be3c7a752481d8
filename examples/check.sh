#!/usr/bin/env bash
# Runs an example and compares what it prints with a file: check.sh FILE PROGRAM [ARGUMENT ...]. UPDATE_EXAMPLES=1 rewrites the file.
set -euo pipefail
file=$1
shift
if [ -n "${UPDATE_EXAMPLES:-}" ]; then "$@" >"$file"; else diff -u "$file" <("$@"); fi
