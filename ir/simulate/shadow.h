#pragma once
#include <optional>

#include "ir/simulate/clock.h"
#include "ir/simulate/code.h"

/// What memory knows of its last accesses, granule by granule, and how two of them conflict.
namespace tecc::simulator {

/// One access as memory remembers it.
struct Access {
  Agent agent = 0;
  std::uint8_t lane = 0;       // of a warp's thread; `several` in what was read
  bool asynchronous = false;
  std::uint32_t period = 0;    // of the agent
  std::uint32_t site = 0;      // the statement's row
  std::uint32_t block = 0;     // which block of threads, counted over the whole run; 0: nobody yet
  static constexpr std::uint8_t several = 255;
};

/// Who is accessing: an access, and what he has seen.
struct Actor {
  Access self;
  const Clock* clock = nullptr;
  std::uint32_t first_block = 1;  // of the kernel: what earlier kernels did happened before
  bool by_proxy = false;          // a bulk copy or wgmma: sees what threads wrote after a fence
  struct Issuer {
    Agent agent;
    std::uint8_t lane;
  };
  std::optional<Issuer> issuer = {};  // of a copy that goes on: what this one thread did before is in order, what other lanes did is not
};

inline bool known(const Access& a, const Actor& who) {
  if (a.block != who.self.block) return a.block < who.first_block;
  if (!a.asynchronous) {
    const bool own = who.issuer ? a.agent == who.issuer->agent && a.lane == who.issuer->lane : !who.self.asynchronous && a.agent == who.self.agent && a.lane == who.self.lane;
    if (own) return true;
  }
  return (*who.clock)[a.agent] > a.period;
}

/// Which element of which buffer: a hash of its coordinates. 64 bits, since thousands of them are compared at a time.
using Tag = std::uint64_t;

struct Cell {
  Access write;
  std::uint32_t fence = 0;       // the writing warp's period of fences; what bulk copies wrote needs none
  std::uint32_t generation = 0;  // the iteration it was written for
  Tag tag = 0;
  std::uint32_t buffer = 0;      // TensorId + 1; 0: nothing was written
  std::uint32_t readers = 0;     // first node of the list; 0: none
  std::uint32_t also = 0;        // who wrote the same, with nothing in between them: whoever has seen one of them may read
};

class Shadow {
 public:
  explicit Shadow(std::size_t granules = 0) : cells_(granules), nodes_(1) {}
  Cell& operator[](std::size_t n) { return cells_[n]; }
  std::size_t size() const { return cells_.size(); }

  /// Notes the access; returns an earlier one that nothing orders before it.
  std::optional<Access> read(std::size_t n, const Actor& who) {
    Cell& c = cells_[n];
    bool seen = c.write.block == 0 || known(c.write, who);
    for (std::uint32_t w = c.also; w && !seen; w = nodes_[w].next) seen = known(nodes_[w].access, who);
    if (!seen) return c.write;
    for (std::uint32_t r = c.readers; r; r = nodes_[r].next) {
      Access& a = nodes_[r].access;
      if (a.agent != who.self.agent || a.block != who.self.block) continue;
      a.lane = a.lane == who.self.lane && a.period == who.self.period ? a.lane : a.period == who.self.period ? Access::several : who.self.lane;
      a.period = who.self.period;
      a.site = who.self.site;
      return std::nullopt;
    }
    push(c.readers, who.self);
    return std::nullopt;
  }
  struct Conflict {
    Access access;
    bool wrote;
  };
  /// `again`: the same statement stores what is there already. An instance may run twice, where a loop runs over its end.
  std::optional<Conflict> write(std::size_t n, const Actor& who, bool again) {
    Cell& c = cells_[n];
    const bool first = c.write.block == 0, ordered = first || known(c.write, who);
    if (!first && again && c.write.site == who.self.site) {
      if (!ordered) push(c.also, c.write);
      c.write = who.self;
      return std::nullopt;
    }
    if (!ordered) return Conflict{c.write, true};
    for (const auto& [list, wrote] : {std::pair(&c.also, true), std::pair(&c.readers, false)})
      for (std::uint32_t& r = *list; r;) {
        if (!known(nodes_[r].access, who)) return Conflict{nodes_[r].access, wrote};
        const std::uint32_t next = nodes_[r].next;
        nodes_[r].next = free_;
        free_ = r;
        r = next;
      }
    c.write = who.self;
    return std::nullopt;
  }

 private:
  struct Node {
    Access access;
    std::uint32_t next = 0;
  };
  void push(std::uint32_t& list, const Access& a) {
    std::uint32_t fresh = free_;
    if (fresh) free_ = nodes_[fresh].next;
    else fresh = static_cast<std::uint32_t>(nodes_.size()), nodes_.emplace_back();
    nodes_[fresh] = {a, list};
    list = fresh;
  }

  std::vector<Cell> cells_;
  std::vector<Node> nodes_;
  std::uint32_t free_ = 0;
};

}  // namespace tecc::simulator
