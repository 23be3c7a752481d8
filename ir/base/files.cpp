#include "ir/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace tecc {
namespace {

namespace fs = std::filesystem;

/// Files written beside their place; those not renamed when it is destroyed are removed.
class Pending {
 public:
  Pending() = default;
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {
    for (const Row& row : rows_) ::unlink(row.temporary.c_str());
    for (auto f = made_.rbegin(); f != made_.rend(); ++f) ::rmdir(f->c_str());  // only what this made, only if empty
  }

  /// Makes the folder and its parents, which go again unless commit() succeeds.
  Check make_folder(const fs::path& folder) {
    if (folder.empty() || fs::exists(folder)) {
      if (folder.empty() || fs::is_directory(folder)) return Ok{};
      return refuse(Code::file_unwritable, folder.string(), "it is a file, not a folder");
    }
    TECC_CHECK(make_folder(folder.parent_path()));
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
      return refuse(Code::file_unwritable, folder.string(), std::strerror(errno));
    made_.push_back(folder.string());
    return Ok{};
  }

  Check add(const std::string& path, const std::string& bytes) {
    // The process id keeps two builds into one folder apart; O_EXCL keeps two threads of one process apart.
    static std::atomic<unsigned> serial{0};
    const std::string temporary = path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(serial++);
    const auto failed = [&] { return refuse(Code::file_unwritable, path, std::strerror(errno)); };
    if (fs::is_directory(path))
      return errno = EISDIR, failed();  // rename() would say so only after others were renamed
    const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return failed();
    rows_.push_back({temporary, path});
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const int why = errno;
        ::close(file);
        return errno = why, failed();
      }
      done += static_cast<std::size_t>(n);
    }
    if (::close(file) != 0) return failed();
    return Ok{};
  }

  Check commit() {
    for (; !rows_.empty(); rows_.erase(rows_.begin()))
      if (::rename(rows_.front().temporary.c_str(), rows_.front().path.c_str()) != 0)
        return refuse(Code::file_unwritable, rows_.front().path, std::strerror(errno));
    made_.clear();
    return Ok{};
  }

 private:
  struct Row {
    std::string temporary, path;
  };
  std::vector<Row> rows_;
  std::vector<std::string> made_;
};

}  // namespace

Check write_files(const std::string& folder, const std::vector<OutFile>& files) {
  Pending pending;
  TECC_CHECK(pending.make_folder(fs::path(folder).lexically_normal()));
  for (const OutFile& f : files) TECC_CHECK(pending.add((fs::path(folder) / f.name).string(), f.bytes));
  return pending.commit();
}

Check write_file(const std::string& path, const std::string& bytes) {
  Pending pending;
  TECC_CHECK(pending.add(path, bytes));
  return pending.commit();
}

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return refuse(Code::file_unreadable, path, std::strerror(EISDIR));
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return refuse(Code::file_unreadable, path, std::strerror(errno ? errno : ENOENT));
  std::ostringstream out;
  out << in.rdbuf();
  if (in.bad()) return refuse(Code::file_unreadable, path, std::strerror(EIO));
  return std::move(out).str();
}

}  // namespace tecc
