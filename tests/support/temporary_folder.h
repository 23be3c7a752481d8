#pragma once
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace tecc {

/// A fresh folder that goes with its test.
struct TemporaryFolder {
  std::string path;
  TemporaryFolder() : path((std::filesystem::temp_directory_path() / "tecc_test_XXXXXX").string()) {
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make " + path);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace tecc
