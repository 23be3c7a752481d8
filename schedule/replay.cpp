#include "ir/base/errors.h"
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// cross_thread_reduce and pipeline leave a note that lowering acts on: what they relied on must hold after later steps, too.
Check notes_hold(const loop::Program& p) {
  for (const loop::CrossThread& c : p.cross_threads) {
    const bool there = p.stmts.has(c.block) && p.stmts.has(c.at) && !p.loop(c.at).retired;
    if (!there || !loop::is_inside(p, c.block, c.at) || !p.block(c.block).combiner || loop::feeds(p, c.at, p.block(c.block), loop::IterKind::reduce))
      return refuse(Code::parts_threads, p.stmts.has(c.block) ? p.block(c.block).name : "?",
                    p.stmts.has(c.at) ? loop::loop_name(p, c.at) : "?");
  }
  for (const loop::Channel& c : p.channels) {
    if (!p.stmts.has(c.loop) || p.loop(c.loop).retired)
      return refuse(Code::parts_pipeline, p.stmts.has(c.loop) ? loop::loop_name(p, c.loop) : "?");
    for (TensorId b : c.buffers)
      if (!fills_ahead(p, c.loop, b)) return refuse(Code::parts_pipeline, loop::loop_name(p, c.loop));
  }
  return Ok{};
}

}  // namespace

Check run(State& state, const Step& step) {
  return std::visit(
      [&](const auto& s) -> Check {
        TECC_CHECK(check(state, s));
        Applied done = apply(state, s);
        TECC_CHECK(notes_hold(done.program));
        state.program = std::move(done.program);
        state.results.push_back(std::move(done.results));
        return Ok{};
      },
      step);
}

Result<State> replay(const loop::Program& naive, const Trace& trace) {
  State state{naive, {}};
  for (const Traced& t : trace)
    if (Check done = run(state, t.step); !done) return at(t.at, done.error());
  return state;
}

}  // namespace tecc::schedule
