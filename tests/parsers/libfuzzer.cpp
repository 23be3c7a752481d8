// libFuzzer's side of tests/parsers (preset fuzz-parsers, clang only; scripts/fuzz-parsers.sh runs it):
//
//   TECC_PARSER=te tecc_fuzz_parsers -max_total_time=60 FOLDER      fuzzes one parser; FOLDER holds inputs and takes new ones
//   TECC_PARSER=te TECC_SEEDS=FOLDER tecc_fuzz_parsers              writes the seeds there
//   tecc_fuzz_parsers                                               the names of the parsers
//
// The name is no argument, as libFuzzer starts itself again with its own.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/parsers/parsers.h"

namespace {
const tecc::parsers::Parser* chosen = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char *name = std::getenv("TECC_PARSER"), *folder = std::getenv("TECC_SEEDS");
  for (const auto& p : tecc::parsers::parsers())
    if (name && std::strcmp(p.name, name) == 0) chosen = &p;
  if (!chosen) {
    for (const auto& p : tecc::parsers::parsers()) std::puts(p.name);
    std::exit(name ? 1 : 0);
  }
  if (folder) {
    std::filesystem::create_directories(folder);
    int n = 0;
    for (const std::string& seed : chosen->seeds()) std::ofstream(std::filesystem::path(folder) / ("seed" + std::to_string(n++)), std::ios::binary) << seed;
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  chosen->read(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
