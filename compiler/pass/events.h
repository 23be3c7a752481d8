#pragma once
#include "ir/loop/program.h"

/// What lower_events makes of a channel's events, for those who must know before it has run.
namespace tecc::compiler {

/// True if all threads of the channel's owner meet at the event.
bool becomes_barrier(const loop::Program& p, const loop::Event& e);
/// True if a block of threads comes past the statement at most once.
bool runs_once(const loop::Program& p, loop::StmtId s);

}  // namespace tecc::compiler
