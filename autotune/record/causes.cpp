#include "autotune/record/causes.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace tecc::autotune {
namespace {

bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool part_of_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The end of the number that begins at `n`: 17, 0.25, 1.5e+03.
std::size_t number_end(std::string_view s, std::size_t n) {
  const auto digits = [&] {
    while (n < s.size() && digit(s[n])) ++n;
  };
  digits();
  if (n + 1 < s.size() && s[n] == '.' && digit(s[n + 1])) ++n, digits();
  if (n < s.size() && s[n] == 'e') {
    const std::size_t sign = n + 1 < s.size() && (s[n + 1] == '+' || s[n + 1] == '-');
    if (n + 1 + sign < s.size() && digit(s[n + 1 + sign])) n += 1 + sign, digits();
  }
  return n;
}

double value(const std::string& number) { return std::strtod(number.c_str(), nullptr); }

}  // namespace

std::vector<Causes::Piece> Causes::pieces_of(std::string_view s) {
  std::vector<Piece> out;
  const auto add = [&](Piece::Kind kind, std::string_view text) {
    if (kind == Piece::words && !out.empty() && out.back().kind == Piece::words) out.back().low += text;
    else out.push_back({kind, std::string(text), {}});
    out.back().high = out.back().low;
  };
  for (std::size_t n = 0; n < s.size();) {
    std::size_t end = n + 1;
    if (const std::size_t close = s.find('\'', n + 1); s[n] == '\'' && close != std::string_view::npos) {
      add(Piece::quoted, s.substr(n, (end = close + 1) - n));
    } else if (digit(s[n])) {
      add(Piece::number, s.substr(n, (end = number_end(s, n)) - n));
    } else {  // a word whole, since the digits of 'sm_90' are no number
      while (end < s.size() && part_of_word(s[n]) && part_of_word(s[end])) ++end;
      add(Piece::words, s.substr(n, end - n));
    }
    n = end;
  }
  return out;
}

void Causes::add(const std::string& code, std::string_view phase, const std::string& message) {
  const std::vector<Piece> pieces = pieces_of(std::string_view(message).substr(0, message.find('\n')));
  const auto same = [](const Piece& a, const Piece& b) { return a.kind == b.kind && (a.kind != Piece::words || a.low == b.low); };
  for (Cluster& c : clusters_) {
    if (c.cause.code != code || c.cause.phase != phase || !std::equal(pieces.begin(), pieces.end(), c.pieces.begin(), c.pieces.end(), same)) continue;
    ++c.cause.count;
    for (std::size_t n = 0; n < pieces.size(); ++n) {
      Piece& seen = c.pieces[n];
      if (seen.kind == Piece::quoted && seen.low != pieces[n].low) seen.high.clear();
      if (seen.kind != Piece::number) continue;
      if (value(pieces[n].low) < value(seen.low)) seen.low = pieces[n].low;
      if (value(pieces[n].low) > value(seen.high)) seen.high = pieces[n].low;
    }
    return;
  }
  clusters_.push_back({{code, std::string(phase), {}, message, 1}, pieces});
}

std::vector<Cause> Causes::by_count() const {
  std::vector<Cause> out;
  for (const Cluster& c : clusters_) {
    out.push_back(c.cause);
    for (const Piece& p : c.pieces) out.back().text += p.high == p.low ? p.low : p.kind == Piece::quoted ? "'…'" : p.low + ".." + p.high;
  }
  std::stable_sort(out.begin(), out.end(), [](const Cause& a, const Cause& b) { return a.count > b.count; });
  return out;
}

}  // namespace tecc::autotune
