#include "tests/support/tool.h"

using namespace tecc;

TEST_CASE("gdb: expressions, handles and programs print readably (skipped where gdb is missing)") {
  if (test::shell("command -v gdb").code != 0) {
    WARN("no gdb: its printers are not tested");
    return;
  }
  // A sanitizer's search for leaks stops the program under a debugger.
  const test::Ran r = test::shell("ASAN_OPTIONS=detect_leaks=0 gdb -batch -nx -x " TECC_SOURCE_DIR "/scripts/gdb/tecc.py -ex 'break looked_at' -ex run -ex 'print e' -ex 'print t' -ex 'print p' -ex 'tecc-program p' " TECC_BINARY_DIR "/tecc_gdb_probe");
  INFO(r.out << r.err);
  CHECK(r.out.find("= select((v3 < 7), ((v3 + 2) % 4), t1[v2] else 0)\n") != std::string::npos);
  CHECK(r.out.find("= tensor 0\n") != std::string::npos);
  CHECK(r.out.find("= program probe: 1 kernels, 4 statements, 2 buffers\n") != std::string::npos);
  CHECK(r.out.find("kernel probe\n  for i: 3\n    for j: (i + 1)\n      block Y\n") != std::string::npos);
}
