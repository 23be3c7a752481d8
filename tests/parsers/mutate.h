#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <string>

namespace tecc::parsers {

using Rng = std::mt19937_64;

/// One to four changes: bytes and words replaced, removed, doubled, taken from another input or from a list of numbers and marks that readers
/// stumble over.
std::string mutated(std::string text, std::span<const std::string> others, Rng& rng);
/// One word or bracket of the text, repeated `times` times where it stands: what recursion and quadratic loops cannot bear.
std::string stretched(const std::string& text, std::size_t times, Rng& rng);

}  // namespace tecc::parsers
