#!/usr/bin/env bash
# Installs a build of tecc into a folder of its own and builds the project in app/ against it.
#
#   check.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT

cmake --install "$1" --prefix "$there/tecc" >/dev/null
cmake -S "$here/app" -B "$there/app" -G Ninja -DCMAKE_PREFIX_PATH="$there/tecc" >/dev/null
cmake --build "$there/app" >"$there/log" 2>&1 || { cat "$there/log"; exit 1; }
[ "$("$there/app/launch")" = "$(printf '2 4 16\n6 8 36\n10 12 56\n14 16 76')" ] || { echo "launch printed:"; "$there/app/launch"; exit 1; }
"$there/app/expression" | grep -q 'kernel scale(X: f32\[N\]) -> (Y)' || { echo "expression printed:"; "$there/app/expression"; exit 1; }

# The installed tool compiles a C++ file with the headers and the library that were installed beside it.
"$there/tecc/bin/tecc" check "$here/../../examples/05_operator_file.cpp" --kernel polynomial --dims N=8 >"$there/log" 2>&1 || { cat "$there/log"; exit 1; }
grep -q '^program polynomial' "$there/log" || { cat "$there/log"; exit 1; }

# pkg-config finds the headers and libraries as well.
flags=$(PKG_CONFIG_PATH="$there/tecc/lib/pkgconfig" pkg-config --cflags --libs tecc)
include=$(PKG_CONFIG_PATH="$there/tecc/lib/pkgconfig" pkg-config --variable=includedir tecc)
[ "$(realpath "$include")" = "$there/tecc/include" ] || { echo "$flags"; exit 1; }
echo "an installed tecc serves CMake, pkg-config and C++ files as input"
