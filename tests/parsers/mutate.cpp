#include "tests/parsers/mutate.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tecc::parsers {
namespace {

constexpr std::string_view hard[] = {"0", "-1", "1", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "99999999999999999999999", "1e308", "1e999",
                                     "4294967296", "2147483648", "inf", "nan", "_", "", "(", ")", "[", "]", "{", "}", ",", ";", ":", "=", "..", "-", "#", "\n", "\"", "null", "true"};

std::size_t below(Rng& rng, std::size_t n) { return n ? rng() % n : 0; }

bool in_word(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// First and last position of a word, or of one other byte.
std::pair<std::size_t, std::size_t> word_of(const std::string& text, Rng& rng) {
  std::size_t first = below(rng, text.size()), last = std::min(first + 1, text.size());
  if (first < text.size() && in_word(text[first])) {
    while (first > 0 && in_word(text[first - 1])) --first;
    while (last < text.size() && in_word(text[last])) ++last;
  }
  return {first, last};
}

}  // namespace

std::string mutated(std::string text, std::span<const std::string> others, Rng& rng) {
  for (std::size_t changes = 1 + below(rng, 4); changes > 0; --changes) {
    const auto [first, last] = word_of(text, rng);
    switch (below(rng, 8)) {
      case 0: text.erase(first, last - first); break;
      case 1: text.insert(first, std::string(text, first, last - first) + " "); break;
      case 2: text.replace(first, last - first, hard[below(rng, std::size(hard))]); break;
      case 3: if (!text.empty()) text[below(rng, text.size())] = static_cast<char>(rng()); break;
      case 4: text.erase(first, below(rng, 40)); break;
      case 5: {  // two words change places
        const auto [a, b] = word_of(text, rng);
        const std::string here(text, first, last - first), there(text, a, b - a);
        if (last <= a) text.replace(a, b - a, here).replace(first, last - first, there);
        break;
      }
      case 6: text.replace(first, last - first, text, word_of(text, rng).first, 1 + below(rng, 12)); break;
      default:
        if (!others.empty()) {
          const std::string& o = others[below(rng, others.size())];
          text.insert(first, o, below(rng, o.size()), 1 + below(rng, 60));
        }
    }
  }
  return text;
}

std::string stretched(const std::string& text, std::size_t times, Rng& rng) {
  const auto [first, last] = word_of(text, rng);
  std::size_t end = last;
  while (end < text.size() && end < last + 8 && rng() % 2) ++end;  // with what stands behind it
  std::string out(text, 0, first);
  for (std::size_t n = 0; n < times; ++n) out.append(text, first, end - first);
  return out.append(text, end);
}

}  // namespace tecc::parsers
