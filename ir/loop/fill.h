#pragma once
#include "ir/loop/affine.h"

/// What lies beyond the domains of statements, where tiles are partial (after the pass `place_buffers`, but for zeros_from).
namespace tecc::loop {

/// What an index reaches, also beyond the domains of the block's iterations; nullopt where it is no sum of them.
std::optional<Interval> reach_of(const Program& p, const Block& b, const Expr& index);

/// True for copies that write zeros themselves where their source ends (cp.async, bulk copies by tensor maps).
bool copies_zeros(const Block& b);

/// True if the storage of `t` has a place for all that the loops make of the index, also beyond the domains of the block.
bool holds_surplus(const Program& p, const Block& b, TensorId t, const std::vector<Expr>& index);

/// True if the statement stores zero where its guards do not hold, instead of nothing: what it makes for instructions that multiply
/// whole tiles, and the one copy out of global memory that a thread's own memory has. What reads these needs no guards.
bool fills_with_zero(const Program& p, const Block& b);

/// The index along dimension `d` from which on copies of the tensor hold zeros: its extent, or that of what it was copied from itself (padded, or
/// into memory of a block). nullopt for what is computed in memory of a block.
std::optional<Expr> zeros_from(const Program& p, TensorId t, std::size_t d);
/// True if from `upper` on they do.
bool is_zero_from(const Program& p, TensorId t, std::size_t d, const Expr& upper);

}  // namespace tecc::loop
