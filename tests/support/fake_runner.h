#pragma once
namespace tecc::test {

/// Answers like a runner: a candidate says itself how long it takes, and whether it shall hang or die.
int fake_runner(int fd);

}  // namespace tecc::test
