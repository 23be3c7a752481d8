#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.h"

// A run in several processes: process k takes the cases first + k, first + k + jobs, .., and sends its report through a pipe.

namespace tecc::fuzz {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report::Kept, name, fault, text, schedule, command)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report, cases, pairs, agreed, steps, by_llvm, by_simulator, by_all, rounding, kinds, primitives, refused, seconds, failures, failed)

namespace {

void merge(Report& all, const Report& one) {
  const auto sum = [](auto& into, const auto& from) {
    for (const auto& [word, n] : from) into[word] += n;
  };
  for (const auto field : {&Report::cases, &Report::pairs, &Report::agreed, &Report::steps, &Report::by_llvm, &Report::by_simulator, &Report::by_all, &Report::rounding, &Report::failed}) all.*field += one.*field;
  sum(all.kinds, one.kinds), sum(all.primitives, one.primitives), sum(all.refused, one.refused), sum(all.seconds, one.seconds);
  all.failures.insert(all.failures.end(), one.failures.begin(), one.failures.end());
}

std::string all_of(int from) {
  std::string out;
  char part[4096];
  for (ssize_t n; (n = ::read(from, part, sizeof part)) > 0;) out.append(part, static_cast<std::size_t>(n));
  return out;
}

}  // namespace

Report fuzz_in_parallel(const Settings& settings, std::uint64_t jobs, std::ostream* progress) {
  struct Job {
    pid_t process;
    int from;
  };
  std::vector<Job> running;
  for (std::uint64_t k = 0; k < jobs; ++k) {
    int ends[2];
    if (::pipe(ends) != 0) break;
    const pid_t process = ::fork();
    if (process == 0) {
      ::close(ends[0]);
      Settings mine = settings;
      mine.first = settings.first + k;
      mine.step = jobs;
      if (settings.count) mine.count = settings.count / jobs + (k < settings.count % jobs);
      const std::string text = mine.count || !settings.count ? nlohmann::json(fuzz(mine, progress)).dump() : nlohmann::json(Report{}).dump();
      for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::write(ends[1], text.data() + sent, text.size() - sent);
        if (n <= 0) break;
        sent += static_cast<std::size_t>(n);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    running.push_back({process, ends[0]});
  }
  Report out;
  for (const Job& job : running) {
    const std::string text = all_of(job.from);
    ::close(job.from);
    int status = 0;
    ::waitpid(job.process, &status, 0);
    if (const auto report = nlohmann::json::parse(text, nullptr, false); !report.is_discarded()) merge(out, report.get<Report>());
    else ++out.failed, out.failures.push_back({"?", fmt::format("process {} ended with status {}: it said which case", job.process, status), "", "", ""});
  }
  return out;
}

}  // namespace tecc::fuzz
