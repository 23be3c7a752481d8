#pragma once

#include <vector>

#include "ir/loop/program.h"

/// How roles share out the iterations of loops that are bound to warpgroups.
///
/// A role with a warpgroup for each of them runs them at the same time. A role with fewer takes them in turn, one after the other: the loop is an
/// ordinary one there. Where one role takes a loop in turn and another one does not, their channels alternate: a round belongs to the
/// warpgroup whose iteration it is in, and the others pass over it (ping-pong; the ring of slots is one).
namespace tecc::loop {

/// Warpgroups that run all iterations of the loop, which is bound to them, at the same time.
std::int64_t warpgroups_of(const Program& p, LoopId l);

/// True if the role (Stmt::every_role: none) takes the iterations of the loop in turn.
bool takes_in_turn(const Program& p, std::uint32_t role, LoopId l);

/// True if a loop that is bound to threads stands around the statement and its role does not take it in turn.
bool is_shared_out(const Program& p, StmtId s);

/// Loops around the channel's loop that one of its roles takes in turn, outermost first.
std::vector<LoopId> alternating_loops(const Program& p, const Channel& c);

/// Loops whose extents multiply to the channel's rounds in one iteration of the alternating loop `l`.
std::vector<LoopId> rounds_within(const Program& p, const Channel& c, LoopId l);

/// True if all iterations of `l` have the same number of rounds.
bool rounds_are_equal(const Program& p, const Channel& c, LoopId l);

}  // namespace tecc::loop
