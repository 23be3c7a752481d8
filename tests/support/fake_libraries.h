#pragma once
#include <cstdlib>
#include <iostream>
#include <string>

namespace tecc::test {

/// Builds a library of tests/support in `folder`, to be found there first by LD_LIBRARY_PATH; false where there is no C compiler.
inline bool build_fake(const std::string& source, const std::string& library, const std::string& folder) {
  const std::string command = "cc -shared -fPIC -o '" + folder + "/" + library + "' " TECC_SOURCE_DIR "/tests/support/" + source;
  if (std::system(command.c_str()) == 0) return true;
  std::cout << "skipped: no C compiler\n";
  return false;
}
inline bool build_fake_cuda(const std::string& folder) { return build_fake("fake_cuda.c", "libcuda.so.1", folder); }
inline bool build_fake_nvml(const std::string& folder) { return build_fake("fake_nvml.c", "libnvidia-ml.so.1", folder); }

}  // namespace tecc::test
