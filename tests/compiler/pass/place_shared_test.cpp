#include "compiler/pass/place_shared.h"

#include "codegen/cuda/emit.h"
#include "ir/loop/verify.h"
#include "tests/support/asynchronous_schedules.h"
#include "tests/support/mutants.h"
#include "tests/support/placement_checker.h"

using namespace tecc;
using namespace tecc::loop;

// Buffers of a kernel share bytes of shared memory where their lives are apart. The first tests say what lives how
// long, one rule at a time, the next ones what becomes of kernels that do not fit otherwise, and what the simulator
// says of them once the barrier between is gone.

namespace {

std::vector<TensorId> shared_of(const Program& p, StmtId root) {
  std::vector<TensorId> out;
  for (BlockId id : blocks_under(p, root)) {
    std::vector<TensorId> used = read_buffers(p.block(id));
    for (const Write& w : p.block(id).writes) used.push_back(w.buffer);
    for (TensorId t : used)
      if (p[t].scope == Scope::shared && !p[t].reuses && std::find(out.begin(), out.end(), t) == out.end())
        out.push_back(t);
  }
  std::sort(out.begin(), out.end());
  return out;
}
std::vector<Lifetime> lifetimes(const Program& p, StmtId root) {
  return compiler::shared_lives(p, root, shared_of(p, root));
}

/// "s 0..1 u 2..3": in which phases, both included, each buffer of the first kernel lives.
std::string lives(const Program& p) {
  std::string out;
  for (const Lifetime& l : lifetimes(p, p.kernels[0]))
    out += fmt::format("{}{} {}..{}", out.empty() ? "" : " ", l.id, l.lower, l.upper - 1);
  return out;
}

/// Two buffers of 1024 bytes that are written in one phase and read in the next, one after the other, inside of
/// `around`.
Program two_stagings(const std::string& around = "", int second_offset = 0) {
  const auto storage = [](int offset) {
    return fmt::format(": f32[256] shared {{in kernel 0, 256 elements, offset {}; from 0 256x1@1}}\n", offset);
  };
  std::string text =
      "program k(X: f32[256]) -> (Y: f32[256]) {\n  buffer s" + storage(0) +
      "  buffer r: f32[256] local {in kernel 0, 1 elements a thread; relative from 0 1x1@1}\n  buffer u" +
      storage(second_offset) + "  kernel k {\n";
  if (!around.empty()) text += "  for z: " + around + " {\n";
  int n = 0;
  for (const auto& [to, from] :
       {std::pair("s[i]", "X[i]"), {"r[i]", "s[255 - i]"}, {"u[i]", "r[i]"}, {"Y[i]", "u[255 - i]"}}) {
    text += fmt::format("for t{0}: 256 thread {{\n block {1}(i: 256 = t{0}) {{\n {2} = {3}\n }}\n }}\n", n, to[0], to,
                        from);
    ++n;
  }
  text += around.empty() ? "}\n}\n" : "}\n}\n}\n";
  const Source source{intern("k.ir"), text};
  const auto p = parse(source);
  if (!p) FAIL(render(p.error(), source));
  return *p;
}

struct Kernel {
  codegen::Workload workload;
  Program scheduled;
  compiler::Limits roomy;
};
Kernel kernel_of(test::AsynchronousSchedule s) {
  s.shared_bytes = 0;
  Kernel out{test::workload(s.text, s.dims, s.types), {}, test::limits_of(s)};
  out.scheduled = test::scheduled(s, out.workload);
  return out;
}
test::AsynchronousSchedule named(const std::string& name) {
  for (const test::AsynchronousSchedule& s : test::asynchronous_schedules())
    if (s.name == name) return s;
  FAIL(name);
  return {};
}

/// As it stands behind place_buffers.
Result<Program> placed(const Program& scheduled, const compiler::Limits& limits) {
  Program p = scheduled;
  for (const compiler::Pass& pass : compiler::gpu_pipeline()) {
    TECC_TRY(p, pass.function(std::move(p), limits));
    if (pass.name == "place_buffers") break;
  }
  return p;
}
std::int64_t bytes_of(const Program& p) {
  std::int64_t most = 0;
  for (StmtId root : p.kernels) most = std::max(most, compiler::shared_bytes(p, root));
  return most;
}
compiler::Limits within(compiler::Limits limits, std::int64_t bytes) {
  limits.shared_bytes = bytes;
  return limits;
}

}  // namespace

TEST_CASE("place_shared: what is handed over in one phase and read in the next lives from there to there") {
  CHECK(lives(two_stagings()) == "s 0..1 u 2..3");
  CHECK(lives(two_stagings("4 block")) == "s 0..1 u 2..3");
  CHECK(lives(two_stagings("1")) == "s 0..1 u 2..3");
}

TEST_CASE("place_shared: what stands in a loop that a block runs several times lives through it") {
  CHECK(lives(two_stagings("4")) == "s 0..0 u 0..0");
  CHECK(lives(two_stagings("4 block persistent")) == "s 0..0 u 0..0");
}

TEST_CASE("place_shared: what is copied asynchronously, or is another role's, lives longer") {
  const auto with_via = [](const std::string& block, Via via) {
    Program p = two_stagings();
    for (BlockId id : blocks_under(p, p.kernels[0]))
      if (p.block(id).name == block)
        p.stmts.edit(id, [&](Stmt& row) { std::get<Block>(row.node).tile.emplace().via = via; });
    return lives(p);
  };
  CHECK(with_via("u", Via::bulk) == "s 0..1 u 0..3");  // a copy may run ahead, and no channel says when it has ended
  CHECK(with_via("r", Via::bulk) == "s 0..3 u 2..3");  // it reads for nobody knows how long
  CHECK(with_via("s", Via::cp_async) == "s 0..3 u 2..3");  // outside of a channel
  CHECK(with_via("r", Via::wgmma) == "s 0..3 u 2..3");     // nothing awaits it
  CHECK(with_via("r", Via::ldmatrix) == "s 0..1 u 2..3");
  CHECK(with_via("u", Via::stmatrix) == "s 0..1 u 2..3");

  const auto with_roles = [](std::initializer_list<std::pair<const char*, std::uint32_t>> roles) {
    Program p = two_stagings();
    for (BlockId id : blocks_under(p, p.kernels[0]))
      for (const auto& [block, role] : roles)
        if (p.block(id).name == block) p.stmts.edit(id, [role = role](Stmt& row) { row.role = role; });
    return lives(p);
  };
  CHECK(with_roles({{"s", 1}, {"r", 1}, {"u", 1}, {"Y", 1}}) == "s 0..1 u 2..3");
  CHECK(with_roles({{"s", 0}, {"r", 0}, {"u", 1}, {"Y", 1}}) == "s 0..1 u 0..3");  // two roles run beside each other
  CHECK(with_roles({{"s", 0}, {"r", 1}, {"u", 1}, {"Y", 1}}) ==
        "s 0..3 u 2..3");  // who writes it is another one, and no channel hands it over
}

TEST_CASE("place_shared: slots live until what reads them asynchronously was awaited") {
  const Kernel k = kernel_of(named("gemm, panels where tiles were"));
  const Program p = test::require(placed(k.scheduled, k.roomy));
  CHECK(lives(p) == "A.shared 0..1 B.shared 0..1 C.shared 2..2");  // the loop over the depth, await_mma, the panels
  const StmtId phases = p[p.channels[0].loop].parent, await = p[phases].children[1];
  const auto with = [&](auto&& change) {
    Program q = p;
    change(q);
    return lives(q);
  };
  const auto awaiting = [&](auto&& change) {
    return with([&](Program& q) { q.stmts.edit(await, [&](Stmt& row) { change(row, std::get<Sync>(row.node)); }); });
  };
  CHECK(with([&](Program& q) { detach(q, await); }) == "A.shared 0..1 B.shared 0..1 C.shared 1..1");
  CHECK(awaiting([](Stmt&, Sync& s) { s.count = 1; }) == "A.shared 0..2 B.shared 0..2 C.shared 2..2");
  CHECK(awaiting([](Stmt& row, Sync&) { row.role = 0; }) == "A.shared 0..2 B.shared 0..2 C.shared 2..2");
  CHECK(awaiting([&](Stmt&, Sync& s) { s.not_first = p.channels[0].loop; }) ==
        "A.shared 0..2 B.shared 0..2 C.shared 2..2");
  CHECK(with([&](Program& q) { q.channels[0].how = Channel::How::ahead; }) ==
        "A.shared 0..2 B.shared 0..2 C.shared 2..2");
  CHECK(with([&](Program& q) {  // another role reads the panels
          for (BlockId b : readers_of(q, shared_of(q, q.kernels[0])[2]))
            q.stmts.edit(b, [](Stmt& row) { row.role = 0; });
        }) == "A.shared 0..1 B.shared 0..1 C.shared 0..2");
}

TEST_CASE("place_shared: a kernel that takes a tile fits where its panels lie in the slots") {
  const Kernel k = kernel_of(named("gemm, panels where tiles were"));
  const Program roomy = test::require(compiler::lower(k.scheduled, k.roomy));
  CHECK(bytes_of(roomy) == 24608);
  const Program tight = test::require(compiler::lower(k.scheduled, within(k.roomy, 22000)));
  CHECK(bytes_of(tight) == 20512);
  CHECK(test::outline(roomy) ==
        "k0{0:wait_empty 0:expect 0:A.shared 0:B.shared 1:wait_full 1:C.sum 1:await_mma 1:arrive_empty} 1:await_mma "
        "j0_2{1:await_bulk_read 1:| 1:C 1:fence_async 1:| 1:C.store 1:commit_bulk} 1:await_bulk");
  CHECK(test::outline(tight) ==
        "k0{0:wait_empty 0:expect 0:A.shared 0:B.shared 1:wait_full 1:C.sum 1:await_mma 1:arrive_empty} 1:await_mma "
        "1:| j0_2{1:await_bulk_read 1:| 1:C 1:fence_async 1:| 1:C.store 1:commit_bulk} 1:await_bulk");
  CHECK(render(compiler::lower(k.scheduled, within(k.roomy, 20000)).error()) ==
        "error E0405: kernel 'gemm' needs 24608 bytes of shared memory > 20000 bytes a block; largest: 'A.shared'");

  const std::vector<Array> inputs =
      test::random_inputs(test::Prepared{k.workload.lifted, k.workload.naive, k.workload.naive, k.workload.naive, {}});
  const std::vector<Array> want = test::require(interpret(k.workload.lifted, {}, inputs));
  CHECK(test::simulation_fault(tight, {}, inputs, want, test::simulations(3), 4) == "");
  for (const test::Mutant& m : test::mutants(tight))
    if (m.name == "drop barrier") {
      const std::string fault = test::simulation_fault(m.program, {}, inputs, want, test::simulations(3), 4);
      INFO(fault);
      CHECK(fault.find("as 'A.shared'") != std::string::npos);
      CHECK(fault.find("has a race on 'C.shared[") != std::string::npos);
    }
}

TEST_CASE("place_shared: a barrier that is there anyway parts two buffers in the same bytes") {
  // c lies where a was: all have read a before they meet for b.
  const test::Operator op{
      "kernel three(X: f32[N]) -> (Y) { a[i: N] = X[i] * 2 b[i: N] = (a[i - 1] else 0) + (a[i + 1] else 0) c[i: N] = "
      "(b[i - 1] else 0) + (b[i + 1] else 0)\n"
      "Y[i: N] = (c[i - 1] else 0) + (c[i + 1] else 0) }",
      "N=1024", "",
      "i0, i1 = split(Y.i, 256); r = compute_at(c, i0); q = compute_at(b, i0); p = compute_at(a, i0); set_scope([a, b, "
      "c], shared); bind(i0, block); bind([p, q, r, i1], thread)"};
  const Program roomy = test::require(test::try_lower(op));
  const compiler::Limits tight = within({}, bytes_of(roomy) - 1);
  const Program shared = test::require(test::try_lower(op, tight));
  CHECK(bytes_of(roomy) == 3128);
  CHECK(bytes_of(shared) == 2088);
  CHECK(test::outline(roomy) == "a | b | c | Y");
  CHECK(test::outline(shared) == "a | b | c | Y");
  test::check_simulated(op, 4, tight);
  // Where a block comes back to them, they stay apart.
  test::Operator serial = op;
  serial.schedule.replace(serial.schedule.find("bind(i0, block); "), 17, "");
  CHECK(test::lowering_refused(serial, tight).starts_with("error E0405"));
}

TEST_CASE("place_shared: bytes are shared where one more block fits an SM") {
  const Kernel k = kernel_of(named("gemm by warps, panels where tiles were"));
  const auto bytes_within = [&](std::int64_t limit) {
    return bytes_of(test::require(placed(k.scheduled, within(k.roomy, limit))));
  };
  constexpr std::int64_t plain = 8704, shared = 7680, reserved = 1024;
  CHECK(bytes_within(k.roomy.shared_bytes) == plain);                    // threads allow no more
  CHECK(bytes_within(2 * (plain + reserved) - reserved) == plain);       // two blocks fit anyway
  CHECK(bytes_within(2 * (plain + reserved) - reserved - 1) == shared);  // two fit then, and one without
  CHECK(bytes_within(shared) == shared);
}

TEST_CASE("place_shared: placements hold, and all agree on the bytes that a kernel takes") {
  for (const test::AsynchronousSchedule& s : test::asynchronous_schedules()) {
    const Kernel k = kernel_of(s);
    const std::int64_t roomy = bytes_of(test::require(placed(k.scheduled, k.roomy)));
    for (const compiler::Limits& limits : {k.roomy, within(k.roomy, roomy - 1)}) {
      INFO(s.name << ", " << limits.shared_bytes << " bytes");
      const auto p = placed(k.scheduled, limits);
      if (!p) {
        CHECK(number(p.error().code) == "E0405");
        continue;
      }
      for (StmtId root : p->kernels) {
        std::vector<std::int64_t> offsets;
        std::int64_t height = 0;
        const std::vector<Lifetime> all = lifetimes(*p, root);
        for (TensorId t : shared_of(*p, root)) {
          offsets.push_back((*p)[t].storage->offset_bytes);
          height = std::max(height, offsets.back() + compiler::shared_bytes(*p, (*p)[t]));
        }
        CHECK(placement_fault(all, offsets, height) == "");
      }
      const Program lowered = test::require(compiler::lower(k.scheduled, limits));
      const auto module = test::require(codegen::cuda::emit(lowered));
      REQUIRE(module.kernels.size() == lowered.kernels.size());
      for (std::size_t n = 0; n < lowered.kernels.size(); ++n) {
        CHECK(module.kernels[n].shared_bytes == compiler::shared_bytes(lowered, lowered.kernels[n]));
        CHECK(compiler::shared_bytes(*p, p->kernels[n]) == compiler::shared_bytes(lowered, lowered.kernels[n]));
      }
    }
  }
}

TEST_CASE("verify: buffers in the same bytes that are in use together") {
  const auto what = [](const Program& p) {
    const Check done = verify(p, Level::threaded);
    return done ? "" : std::get<std::string>(done.error().args[1]);
  };
  const std::string both = "'s' and 'u' share bytes of shared memory while both are in use";
  CHECK(what(two_stagings("", 0)) == "");
  CHECK(what(two_stagings("4 block", 512)) == "");
  CHECK(what(two_stagings("4", 1024)) == "");
  CHECK(what(two_stagings("4", 512)) == both);
  CHECK(what(two_stagings("4 block persistent")) == both);
}
