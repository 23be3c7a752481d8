#!/usr/bin/env bash
# Runs an example and compares what it prints with a file: check.sh PROGRAM FILE. UPDATE_EXAMPLES=1 rewrites the file.
set -euo pipefail
if [ -n "${UPDATE_EXAMPLES:-}" ]; then "$1" >"$2"; else diff -u "$2" <("$1"); fi
