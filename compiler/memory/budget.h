#pragma once
#include <chrono>
#include <cstdint>

namespace tecc {

/// What is left for searching. One node is one buffer given an offset, whoever does it; the clock is looked at rarely.
/// As long as the nodes run out before the clock does, the same search ends at the same place on any machine.
class Budget {
 public:
  Budget(std::uint64_t nodes, double seconds)
      : nodes_(nodes), seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  /// Takes `nodes`, or what is left; false when nothing is.
  bool take(std::uint64_t nodes = 1) {
    if (nodes_ == 0 || ((ticks_ += nodes) > ticks_a_look && late())) return false;
    nodes_ -= nodes < nodes_ ? nodes : nodes_;
    return true;
  }
  std::uint64_t nodes() const { return nodes_; }
  /// Goes on with at most `nodes` and gives the rest to give_back(). For rounds.
  std::uint64_t hold_back_all_but(std::uint64_t nodes) {
    const std::uint64_t held = nodes_ > nodes ? nodes_ - nodes : 0;
    nodes_ -= held;
    return held;
  }
  void give_back(std::uint64_t held) {
    if (!out_of_time_) nodes_ += held;
  }

 private:
  bool late() {
    ticks_ = 0;
    out_of_time_ = std::chrono::steady_clock::now() - start_ >= seconds_;
    if (out_of_time_) nodes_ = 0;
    return out_of_time_;
  }
  static constexpr std::uint64_t ticks_a_look = 1000;  // a node takes 0.2 to 20 microseconds
  std::uint64_t nodes_, ticks_ = 0;
  std::chrono::duration<double> seconds_;
  std::chrono::steady_clock::time_point start_;
  bool out_of_time_ = false;
};

}  // namespace tecc
