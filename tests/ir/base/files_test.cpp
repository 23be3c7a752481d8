#include "ir/base/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ir/base/errors.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

namespace fs = std::filesystem;

std::size_t entries(const std::string& folder) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++n;
  return n;
}

TEST_CASE("files: a missing folder is made, files are replaced, nothing temporary stays") {
  const TemporaryFolder base;
  const std::string out = base.path + "/a/b/";
  write_files(out, {{"x.json", "1"}, {"y.bin", std::string("\0\1", 2)}}).or_throw();
  write_files(out, {{"x.json", "22"}}).or_throw();
  CHECK(read_file(out + "x.json").or_throw() == "22");
  CHECK(read_file(out + "y.bin").or_throw() == std::string("\0\1", 2));
  CHECK(entries(out) == 2);
}

TEST_CASE("files: a failure leaves the folder as it was") {
  const TemporaryFolder base;
  write_files(base.path, {{"x.json", "old"}}).or_throw();
  fs::create_directory(base.path + "/taken");
  const auto r = write_files(base.path, {{"x.json", "new"}, {"taken", "bytes"}});
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0602: cannot write '" + base.path + "/taken': Is a directory");
  CHECK(read_file(base.path + "/x.json").or_throw() == "old");
  CHECK(entries(base.path) == 2);
}

TEST_CASE("files: folders made for a failed write go again") {
  const TemporaryFolder base;
  const auto r = write_files(base.path + "/new/deep", {{"no/such/folder.txt", "x"}});
  REQUIRE_FALSE(r);
  CHECK(entries(base.path) == 0);
}

TEST_CASE("files: a file where a folder should be, and an unwritable folder") {
  const TemporaryFolder base;
  write_file(base.path + "/f", "x").or_throw();
  const auto r = write_files(base.path + "/f/out", {{"x", "1"}});
  REQUIRE_FALSE(r);
  CHECK(render(r.error()) == "error E0602: cannot write '" + base.path + "/f': it is a file, not a folder");
  if (::geteuid() == 0) return;  // root may write anywhere
  ::chmod(base.path.c_str(), 0500);
  const auto closed = write_files(base.path, {{"x", "1"}});
  REQUIRE_FALSE(closed);
  CHECK(render(closed.error()) == "error E0602: cannot write '" + base.path + "/x': Permission denied");
  ::chmod(base.path.c_str(), 0700);
}

TEST_CASE("files: E0601 for what cannot be read") {
  const TemporaryFolder base;
  const auto gone = read_file(base.path + "/none");
  REQUIRE_FALSE(gone);
  CHECK(render(gone.error()) == "error E0601: cannot read '" + base.path + "/none': No such file or directory");
  const auto folder = read_file(base.path);
  REQUIRE_FALSE(folder);
  CHECK(render(folder.error()) == "error E0601: cannot read '" + base.path + "': Is a directory");
}

}  // namespace
}  // namespace tecc
