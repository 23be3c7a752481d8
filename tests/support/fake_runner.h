#pragma once
namespace tecc::test {

/// Answers like a runner. A candidate says itself how long it takes ("us") and in which state the chip was ("chip"); which devices are lost
/// under it ("lose", "lose_in_finals": their numbers); that it makes a file before it ends ("touch") or waits for one ("until").
int fake_runner(int fd);

}  // namespace tecc::test
