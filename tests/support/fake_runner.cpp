#include "tests/support/fake_runner.h"

#include <signal.h>
#include <unistd.h>

#include "autotune/measure/process.h"

namespace tecc::test {

using autotune::Message;

int fake_runner(int fd) {
  autotune::die_with_parent();
  for (;;) {
    const auto question = autotune::receive(fd, std::nullopt);
    if (!question) return 0;
    const std::string op = question->at("op");
    Message answer;
    if (op == "prepare") {
      answer = question->value("refuse", false)
                   ? Message{{"failed", {{"phase", "load"}, {"code", "E0604"}, {"message", "no such device"}}}}
                   : Message{{"device", "fake"}, {"pid", ::getpid()}};
    } else if (op == "finals") {
      answer["outcomes"] = Message::array();
      for (const Message& c : question->at("candidates")) answer["outcomes"].push_back({{"us", {c.at("us"), c.at("us")}}});
    } else {
      const std::string fault = question->value("inject", "none");
      if (fault == "hang")
        for (;;) ::pause();
      if (fault == "die") ::raise(SIGSEGV);
      answer = {{"us", {question->at("candidate").at("us")}}};
    }
    if (!autotune::send(fd, answer)) return 0;
  }
}

}  // namespace tecc::test
