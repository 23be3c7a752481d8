#include "tests/support/fake_runner.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "autotune/measure/process.h"

namespace tecc::test {
namespace {

using autotune::Message;

/// The device of this runner goes, and stays away: `lost` of its preparation names the file that says so.
void lose(const Message& prepared) {
  std::ofstream(prepared.at("lost").get<std::string>()) << "lost";
  ::raise(SIGKILL);
}
bool lists(const Message& candidate, const char* key, const Message& prepared) {
  if (!candidate.contains(key)) return false;
  for (const Message& device : candidate.at(key))
    if (device == prepared.at("device")) return true;
  return false;
}

Message answer_of(const Message& candidate) {
  Message out{{"us", {candidate.at("us")}}};
  if (candidate.contains("chip")) out["chip"] = candidate.at("chip");
  return out;
}

}  // namespace

int fake_runner(int fd) {
  autotune::die_with_parent();
  Message prepared;
  for (;;) {
    const auto question = autotune::receive(fd, std::nullopt);
    if (!question) return 0;
    const std::string op = question->at("op");
    Message answer;
    if (op == "prepare") {
      prepared = *question;
      const bool refuse = question->value("refuse", false) || std::filesystem::exists(question->value("lost", "/nowhere"));
      answer = refuse ? Message{{"failed", {{"phase", "load"}, {"code", "E0604"}, {"message", "no such device"}}}}
                      : Message{{"device", "fake"}, {"uuid", "fake-" + std::to_string(question->value("device", 0))}, {"pid", ::getpid()}};
    } else if (op == "finals") {
      answer["outcomes"] = Message::array();
      for (const Message& c : question->at("candidates")) {
        if (lists(c, "lose_in_finals", prepared)) lose(prepared);
        Message one = answer_of(c);
        one["us"].push_back(c.at("us"));
        answer["outcomes"].push_back(one);
      }
    } else {
      const Message& candidate = question->at("candidate");
      const std::string fault = question->value("inject", "none");
      if (fault == "hang")
        for (;;) ::pause();
      if (fault == "die") ::raise(SIGSEGV);
      if (lists(candidate, "lose", prepared)) lose(prepared);
      if (candidate.contains("touch")) std::ofstream(candidate.at("touch").get<std::string>()) << "here";
      while (candidate.contains("until") && !std::filesystem::exists(candidate.at("until").get<std::string>())) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      answer = answer_of(candidate);
    }
    if (!autotune::send(fd, answer)) return 0;
  }
}

}  // namespace tecc::test
