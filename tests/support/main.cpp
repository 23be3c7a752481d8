#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <string_view>

#include "tests/support/fake_runner.h"

int main(int argc, char** argv) {
  // The test program is its own runner process: the protocol of `tecc __runner` without a device.
  if (argc == 3 && std::string_view(argv[1]) == "__fake_runner") return tecc::test::fake_runner(std::atoi(argv[2]));
  return Catch::Session().run(argc, argv);
}
