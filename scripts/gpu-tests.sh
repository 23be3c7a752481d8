#!/usr/bin/env bash
# Builds the tests that need a GPU as one program that runs elsewhere: on a machine with glibc 2.36 or newer, the CUDA driver and
# NVRTC, and nothing else of tecc.
#
#   scripts/gpu-tests.sh FOLDER      leaves the program, its libraries and run.sh there; on the GPU machine: FOLDER/run.sh
set -euo pipefail
mkdir -p "${1:?the folder to fill}"
there=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
cmake --build --preset release --target tecc_gpu_tests -- --quiet
strip -o "$there/tecc_gpu_tests" build/release/tecc_gpu_tests
# What is not glibc's comes along; the program looks beside itself first.
ldd build/release/tecc_gpu_tests | awk '$3 ~ /^\// {print $3}' | grep -vE '/(libc|libm|libdl|libpthread|librt)\.so' | while read -r library; do
  cp -L "$library" "$there/"
done
cat >"$there/run.sh" <<'END'
#!/usr/bin/env bash
# Exit code 0 when every test passed; a test that was skipped says so.
exec "$(dirname "$0")/tecc_gpu_tests" "$@"
END
chmod +x "$there/run.sh"
du -sh "$there" | cut -f1
