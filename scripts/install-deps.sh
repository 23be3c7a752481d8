#!/usr/bin/env bash
# Installs what a build of tecc needs, from the distribution's own packages (Debian 12, Ubuntu 24.04).
#
#   scripts/install-deps.sh [--dry-run]      as root, or as a user with sudo; prints what it installs
#
# Packages that are there already are left alone; when nothing is missing, neither root nor a network is needed.
# The CUDA driver and NVRTC are no build dependencies: the tool loads them when it runs, where they are.
set -euo pipefail

packages=(
  g++ cmake ninja-build git pkg-config
  llvm-19-dev zlib1g-dev libzstd-dev       # LLVM's CMake package names both when it is linked statically
  libfmt-dev nlohmann-json3-dev libcli11-dev
  libsqlite3-dev                           # tuning records
  libxgboost-dev                           # the cost model
  libmimalloc-dev                          # the allocator of the programs
  catch2                                   # the tests
  libisl-dev                               # the tests: judges the legality of steps
)

if ! command -v dpkg-query >/dev/null; then
  echo "this script knows Debian 12 and Ubuntu 24.04; elsewhere install the equivalents of: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing: ${missing[*]}"
[ "${1:-}" != --dry-run ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "run this as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -q >/dev/null
absent=()
for package in "${missing[@]}"; do
  apt-cache show "$package" >/dev/null 2>&1 || absent+=("$package")
done
if [ ${#absent[@]} -gt 0 ]; then
  echo "this distribution has no package: ${absent[*]}" >&2
  echo "on Ubuntu 24.04 they are in the 'universe' component (and llvm-19 in noble-updates): add-apt-repository universe" >&2
  exit 1
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
