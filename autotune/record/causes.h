#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tecc::autotune {

/// Failures that have one cause: number and phase are the same, and the messages differ in numbers and in words in quotes only.
struct Cause {
  std::string code, phase;  // "E0405", "lower"
  std::string text;         // their first line; a number that differs as low..high, a word in quotes that differs as '…'
  std::string example;      // the first message, whole
  std::int64_t count = 0;
};

/// Collects failures by cause.
class Causes {
 public:
  void add(const std::string& code, std::string_view phase, const std::string& message);
  /// Most frequent first, of equal ones the first that came.
  std::vector<Cause> by_count() const;

 private:
  /// A piece of a message: words as they stand, a number, or what stands in quotes.
  struct Piece {
    enum Kind : std::uint8_t { words, number, quoted } kind;
    std::string low, high;  // of a number the smallest and largest as they were written; else equal, or `high` empty where it differed
  };
  static std::vector<Piece> pieces_of(std::string_view line);

  struct Cluster {
    Cause cause;
    std::vector<Piece> pieces;
  };
  std::vector<Cluster> clusters_;
};

}  // namespace tecc::autotune
