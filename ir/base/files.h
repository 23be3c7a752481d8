#pragma once
#include <string>
#include <vector>

#include "ir/base/result.h"

namespace tecc {

/// A file of an artifact: its name inside the out-dir and its bytes.
struct OutFile {
  std::string name;
  std::string bytes;
};

/// Writes all files or none: each goes to a temporary sibling first and all are renamed at the end, so that an unwritable
/// folder or a full disk leaves the folder as it was. Makes `folder` where it is missing. E0602.
Check write_files(const std::string& folder, const std::vector<OutFile>& files);
/// One file, written and renamed in the same way.
Check write_file(const std::string& path, const std::string& bytes);
/// E0601.
Result<std::string> read_file(const std::string& path);

}  // namespace tecc
