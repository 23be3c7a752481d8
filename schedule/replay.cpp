#include "ir/base/errors.h"
#include "schedule/primitive/common.h"

namespace tecc::schedule {
namespace {

/// cross_thread_reduce, scan, pipeline, specialize, skew and take_turns leave a note that lowering acts on: what they relied on must hold after
/// later steps, too.
Check notes_hold(const loop::Program& before, const loop::Program& p) {
  for (const loop::CrossThread& c : p.cross_threads) {
    const char* const what = before.stmts.has(c.block) && loop::is_scan(before.block(c.block)) ? "scan" : "cross_thread_reduce";
    const bool there = p.stmts.has(c.block) && p.stmts.has(c.at) && !p.loop(c.at).retired;
    if (!there || !loop::is_inside(p, c.block, c.at) || !p.block(c.block).combiner || loop::feeds(p, c.at, p.block(c.block), loop::IterKind::reduce))
      return refuse(Code::parts_threads, p.stmts.has(c.block) ? p.block(c.block).name : "?",
                    p.stmts.has(c.at) ? loop::loop_name(p, c.at) : "?", what);
    // It is combined behind the statement that holds it: nobody may read it in there, but who rescales the parts.
    for (const loop::Write& w : p.block(c.block).writes)
      for (loop::BlockId r : loop::readers_of(p, w.buffer))
        if (r != c.block && !loop::writes(p.block(r), w.buffer) && loop::is_inside(p, r, loop::child_towards(p, c.at, c.block))) return refuse(Code::parts_threads, p.block(c.block).name, loop::loop_name(p, c.at), what);
    for (const loop::Write& w : p.block(c.block).writes)  // each thread has a part; of a scan that stores as it goes its own elements
      if (!loop::is_scan(p.block(c.block)) && p[w.buffer].scope != loop::Scope::local && p[w.buffer].scope != loop::Scope::reg)
        return refuse(Code::parts_threads, p.block(c.block).name, loop::loop_name(p, c.at), what);
    if (used_outside(p, c.block, c.at)) return refuse(Code::parts_threads, p.block(c.block).name, loop::loop_name(p, c.at), what);
  }
  for (const loop::Channel& c : p.channels) {
    if (!p.stmts.has(c.loop) || p.loop(c.loop).retired)
      return refuse(Code::parts_pipeline, p.stmts.has(c.loop) ? loop::loop_name(p, c.loop) : "?");
    for (TensorId b : c.buffers)
      if (!fills_ahead(p, c.loop, b)) return refuse(Code::parts_pipeline, loop::loop_name(p, c.loop));
  }
  const auto called = [&](loop::BlockId b) { return before.stmts.has(b) ? before.block(b).name : std::string("?"); };
  std::vector<loop::BlockId> run;
  for (const loop::WarpRole& r : p.roles)
    for (loop::BlockId b : r.blocks) {
      if (!p.stmts.has(b)) return refuse(Code::parts_note, called(b), "specialize");
      run.push_back(b);
    }
  if (!run.empty())
    for (loop::BlockId b : loop::blocks_under(p, loop::root_of(p, run[0])))
      if (std::find(run.begin(), run.end(), b) == run.end()) return refuse(Code::role_missing, p.block(b).name);
  for (const loop::Skewing& k : p.skews) {
    // Statements that lag need the iteration before in the same threads.
    if (!p.stmts.has(k.loop) || p.loop(k.loop).retired || p.loop(k.loop).group != Group::none) return refuse(Code::parts_note, loop::loop_name(before, k.loop), "skew");
    std::optional<loop::StmtId> sequence;
    for (const auto& e : k.order) {
      if (!p.stmts.has(e.block) || !loop::is_inside(p, e.block, k.loop)) return refuse(Code::parts_note, called(e.block), "skew");
      sequence = sequence ? loop::common_ancestor(p, *sequence, e.block) : e.block;
    }
    for (loop::StmtId c : p[*sequence].children) {
      const bool known = std::any_of(k.order.begin(), k.order.end(), [&](const auto& e) { return loop::is_inside(p, e.block, c); });
      if (!known) return refuse(Code::parts_note, p.block(loop::blocks_under(p, c)[0]).name, "skew");
    }
  }
  for (const loop::Turns& t : p.turns) {
    if (!p.stmts.has(t.loop) || p.loop(t.loop).retired) return refuse(Code::parts_note, loop::loop_name(before, t.loop), "take_turns");
    for (loop::BlockId b : t.critical)
      if (!p.stmts.has(b) || !loop::is_inside(p, b, t.loop)) return refuse(Code::parts_note, called(b), "take_turns");
  }
  return Ok{};
}

}  // namespace

Check run(State& state, const Step& step) {
  return std::visit(
      [&](const auto& s) -> Check {
        TECC_CHECK(check(state, s));
        Applied done = apply(state, s);
        TECC_CHECK(notes_hold(state.program, done.program));
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
