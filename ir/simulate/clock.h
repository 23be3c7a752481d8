#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

/// Who has seen what. An agent is somebody whose accesses to memory are in order: a warp, or a queue of asynchronous operations.
namespace tecc::simulator {

using Agent = std::uint16_t;

/// at[a] = n: the first n periods of agent `a` happened before. An agent's period ends with each release; warps begin in period 1.
class Clock {
 public:
  Clock() = default;
  explicit Clock(std::size_t agents) : at_(agents, 0) {}
  std::uint32_t operator[](Agent a) const { return at_[a]; }
  std::uint32_t& operator[](Agent a) { return at_[a]; }
  void join(const Clock& other) {
    for (std::size_t n = 0; n < at_.size(); ++n) at_[n] = std::max(at_[n], other.at_[n]);
  }
  /// What both have seen.
  void meet(const Clock& other) {
    for (std::size_t n = 0; n < at_.size(); ++n) at_[n] = std::min(at_[n], other.at_[n]);
  }
  void clear() { std::fill(at_.begin(), at_.end(), 0); }

 private:
  std::vector<std::uint32_t> at_;
};

/// The numbers of a block's agents. Warps first: what their threads do by themselves.
struct Agents {
  std::uint16_t warps = 0, barriers = 0;  // barriers: full ones, of all channels, owners and slots

  Agent fences(std::size_t warp) const { return at(1, warp); }               // periods end with fence_async
  Agent copies(std::size_t warp) const { return at(2, warp); }               // cp.async on its way: nobody has seen it
  Agent store_reads(std::size_t warp) const { return at(3, warp); }          // bulk stores: their reads, a period a group
  Agent store_writes(std::size_t warp) const { return at(4, warp); }         // their writes
  Agent products(std::size_t warpgroup) const { return at(5, warpgroup); }   // wgmma, a period a group
  Agent loads(std::size_t barrier) const { return at(6, barrier); }          // bulk loads: a period a phase
  Agent releases(std::size_t barrier) const { return at(6, barriers + barrier); }  // empty ones: a period a phase
  std::size_t count() const { return std::size_t{6} * warps + std::size_t{2} * barriers; }

 private:
  Agent at(std::size_t kind, std::size_t number) const { return static_cast<Agent>(kind * warps + number); }
};

}  // namespace tecc::simulator
