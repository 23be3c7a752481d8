#!/usr/bin/env bash
# Makes the relocatable archive build/package/tecc-VERSION-Linux-x86_64.tar.gz: the tool with LLVM linked in, the other
# shared libraries beside it in lib/, headers, CMake package, examples and docs. It runs wherever glibc is 2.36 or newer
# (Debian 12, Ubuntu 24.04), unpacked at any place.
#
#   scripts/package.sh
set -euo pipefail
cd "$(dirname "$0")/.."
newest_glibc=2.36

scripts/install-deps.sh
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake --preset package "${launcher[@]}" >/dev/null
cmake --build --preset package -- --quiet
(cd build/package && rm -f tecc-*.tar.gz && cpack -G TGZ >/dev/null)
archive=$(echo "$PWD"/build/package/tecc-*.tar.gz)

# The archive is checked as a stranger would use it: unpacked elsewhere, with no library path set.
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
tar -C "$there" -xzf "$archive" --strip-components=1
env -i "$there/bin/tecc" --version
env -i PATH="$PATH" "$there/bin/tecc" check "$there/share/doc/tecc/examples/05_operator_file.cpp" --kernel polynomial --dims N=8 >/dev/null  # headers and library are found
while read -r file; do
  newer=$(objdump -T "$file" 2>/dev/null | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1 | sed 's/GLIBC_//')
  if [ -n "$newer" ] && [ "$(printf '%s\n' "$newer" "$newest_glibc" | sort -V | tail -n 1)" != "$newest_glibc" ]; then
    echo "$file needs glibc $newer" >&2
    exit 1
  fi
done < <(find "$there/bin" "$there/lib" -type f \( -name tecc -o -name '*.so*' \))
outside=$(env -i ldd "$there/bin/tecc" | awk '$3 ~ /^\// {print $3}' | grep -v "^$there" | xargs -rn 1 basename |
          grep -vE '^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so' || true)
if [ -n "$outside" ]; then
  echo "taken from the system instead of the archive: $outside" >&2
  exit 1
fi
echo "$archive"
