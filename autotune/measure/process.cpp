#include "autotune/measure/process.h"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace tecc::autotune {

RunnerProcess::RunnerProcess(RunnerProcess&& other) noexcept
    : command_(std::move(other.command_)), pid_(std::exchange(other.pid_, -1)), socket_(std::exchange(other.socket_, -1)) {}

std::vector<std::string> RunnerProcess::own_command() { return {"/proc/self/exe", "__runner"}; }

void die_with_parent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

Check RunnerProcess::start() {
  stop();
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return refuse(Code::runner_start, std::strerror(errno));
  // Everything that allocates happens before fork(): other threads may hold the allocator's lock.
  std::vector<std::string> command = command_;
  command.push_back(std::to_string(ends[1]));
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    const int why = errno;
    ::close(ends[0]), ::close(ends[1]);
    return refuse(Code::runner_start, std::strerror(why));
  }
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died in between
    ::signal(SIGINT, SIG_IGN);              // Ctrl-C is for the parent, which keeps what there is
    ::fcntl(ends[1], F_SETFD, 0);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  pid_ = child;
  socket_ = ends[0];
  return Ok{};
}

std::string RunnerProcess::end() {
  if (pid_ <= 0) return "it did not run";
  int status = 0;
  pid_t seen = 0;
  for (int n = 0; n < 50 && seen == 0; ++n) {  // a process that closed the socket is about to end by itself
    seen = ::waitpid(pid_, &status, WNOHANG);
    if (seen == 0) ::usleep(2000);
  }
  if (seen == 0) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
  }
  ::close(socket_);
  pid_ = -1;
  socket_ = -1;
  if (WIFSIGNALED(status)) return fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

void RunnerProcess::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)end();
}

Result<Message> RunnerProcess::ask(const Message& question, std::int64_t limit_ms, const std::string& doing, Code late) {
  if (!running()) TECC_CHECK(start());
  if (const Check sent = send(socket_, question); !sent) return refuse(Code::runner_died, doing, end());
  auto answer = receive(socket_, limit_ms);
  if (answer) return answer;
  const Code code = answer.error().code;
  if (code == Code::runner_died) return refuse(Code::runner_died, doing, end());
  stop();
  return code == Code::candidate_timeout ? refuse(late, limit_ms) : answer.error();
}

}  // namespace tecc::autotune
