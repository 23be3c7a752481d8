#pragma once
#include <span>

#include "compiler/pass/passes.h"

/// What copies need that threads make for a later iteration of their loop than the one that is running, whether they move (pipeline_copies) or
/// everything else lags behind them (realise_channels).
namespace tecc::compiler {

/// The statements `ahead`, children of the channel's loop, can run before the others of their iteration: the loop runs in each thread
/// from its first iteration to its last, and they use nothing that the others make in it. E0421.
Check check_ahead(const loop::Program& p, const loop::Channel& c, std::span<const loop::StmtId> ahead);
/// No extent at or under `s`, which runs in another iteration than the others, follows the channel's loop. E0421.
Check check_extents(const loop::Program& p, const loop::Channel& c, loop::StmtId s);

}  // namespace tecc::compiler
