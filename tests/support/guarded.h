#pragma once
#include <cstdint>
#include <vector>

namespace tecc::test {

/// Memory between guard zones: writes outside of a buffer show.
class Guarded {
 public:
  explicit Guarded(std::int64_t bytes) : size_(static_cast<std::size_t>(bytes)), memory_(2 * zone + size_ + 64, fill) {
    start_ = zone + (64 - reinterpret_cast<std::uintptr_t>(memory_.data() + zone) % 64) % 64;
  }
  unsigned char* data() { return memory_.data() + start_; }
  bool intact() const {
    for (std::size_t n = 0; n < memory_.size(); ++n)
      if ((n < start_ || n >= start_ + size_) && memory_[n] != fill) return false;
    return true;
  }

 private:
  static constexpr std::size_t zone = 4096;
  static constexpr unsigned char fill = 0xa5;
  std::size_t size_, start_;
  std::vector<unsigned char> memory_;
};

}  // namespace tecc::test
