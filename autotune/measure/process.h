#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "autotune/measure/wire.h"

namespace tecc::autotune {

/// The process that owns the device. Candidates may hang it or crash it: it is killed and a fresh one takes its place. It never
/// outlives this process: the kernel kills it when the thread that started it ends, and it leaves when the socket closes.
class RunnerProcess {
 public:
  /// `command`: program and arguments; the number of the socket is added as the last one.
  explicit RunnerProcess(std::vector<std::string> command) : command_(std::move(command)) {}
  RunnerProcess(RunnerProcess&& other) noexcept;
  ~RunnerProcess() { stop(); }

  /// This program itself with the hidden command.
  static std::vector<std::string> own_command();

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  /// E0523. To be called from a thread that lives as long as the runner shall.
  Check start();
  /// Asks and waits. When there is no answer in time or the process dies it is killed and gone: running() is false then.
  /// `late` (E0520 E0537), E0521 E0522; `doing` is for the message.
  Result<Message> ask(const Message& question, std::int64_t limit_ms, const std::string& doing, Code late = Code::candidate_timeout);
  void stop();

 private:
  std::string end();  // kills, reaps, says how it ended

  std::vector<std::string> command_;
  pid_t pid_ = -1;
  int socket_ = -1;
};

/// For the runner itself: die with the process that started it. Called before anything else.
void die_with_parent();

}  // namespace tecc::autotune
