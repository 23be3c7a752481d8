#include "tests/support/mutants.h"

using namespace tecc;
using namespace tecc::loop;

// Programs of level `threaded` written by hand: each gives the right result in every order, and every way to break what orders it is seen.

namespace {

struct Case {
  Program program;
  std::vector<Array> inputs, want;
};

Array random_array(DType type, std::vector<std::int64_t> shape, std::uint32_t seed) {
  std::mt19937 random(seed);
  Array a(type, std::move(shape));
  for (std::int64_t n = 0; n < a.size(); ++n) {
    if (is_float(type)) a.set(n, std::normal_distribution<double>()(random));
    else a.set_integer(n, static_cast<std::int64_t>(random() % 15) - 7);
  }
  return a;
}

Program read(const std::string& text) {
  const Source source{intern("hand.ir"), text};
  const auto p = parse(source);
  if (!p) FAIL(render(p.error(), source));
  test::reread(*p);
  return *p;
}

/// Right in 60 random runs and in every adversarial order; of the mutants, those and only those survive that change nothing.
void check(const Case& c, const std::vector<std::string>& equivalent, std::size_t mutants) {
  CHECK(test::simulation_fault(c.program, {}, c.inputs, c.want, test::simulations(60)) == "");
  std::string report;
  std::size_t count = 0;
  const std::vector<std::string> left = test::survivors(c.program, c.inputs, c.want, test::simulations(6), &report, &count);
  INFO(report);
  CHECK(left == equivalent);
  CHECK(count == mutants);
}

// ---- a: shared memory and barriers ------------------------------------------------------------------------------------------
Case turn() {
  Case c{read(R"(program turn(X: f32[64, 64]) -> (Y: f32[64, 64]) {
  buffer xs: f32[64, 64] shared {in j0, 1056 elements, offset 0; relative from 0 32x1@33; relative from 0 32x1@1}
  kernel turn {
    for i0: 2 block {
      for j0: 2 {
        for a: 4 {
          for t: 256 thread {
            block xs(i: 64 = i0 * 32 + a * 8 + t / 32, j: 64 = j0 * 32 + t % 32) {
              xs[i, j] = X[i, j]
            }
          }
        }
        barrier
        for b: 4 {
          for u: 256 thread {
            block Y(i: 64 = i0 * 32 + u % 32, j: 64 = j0 * 32 + b * 8 + u / 32) {
              Y[j, i] = xs[i, j] + 1
            }
          }
        }
        barrier
      }
    }
  }
}
)"),
         {random_array(DType::f32, {64, 64}, 1)},
         {}};
  Array y(DType::f32, {64, 64});
  for (std::int64_t i = 0; i < 64; ++i)
    for (std::int64_t j = 0; j < 64; ++j) y.set(j * 64 + i, c.inputs[0].get(i * 64 + j) + 1);
  c.want = {y};
  return c;
}

// ---- b: bulk copies, a ring of barriers, plain threads ------------------------------------------------------------------------
Case ring() {
  Case c{read(R"(program ring(X: f32[16, 256]) -> (Y: f32[16, 256]) {
  buffer xs: f32[16, 256] shared slots 3 at k of c0 {in b, 256 elements, offset 0; relative from 0 1x1@256; relative from 0 256x1@1}
  channel c0 at k slots 3 mbarrier full 1 empty 1 offset 3072: xs
  role r0 warpgroups 1 registers 24: al
  role r1 warpgroups 2 registers 240: Y
  kernel ring {
    for b: 2 block persistent {
      for k: 8 {
        r0: wait_empty c0
        r0: expect c0 bytes 1024
        for e: 256 {
          r0: block al(i: 16 = b * 8 + k, j: 256 = e) by bulk at e {
            xs[i, j] = X[i, j]
          }
        }
        r1: wait_full c0
        for t: 256 thread {
          r1: block Y(i: 16 = b * 8 + k, j: 256 = t) {
            Y[i, j] = xs[i, 255 - j] * 2
          }
        }
        r1: barrier
        r1: arrive_empty c0
      }
    }
  }
}
)"),
         {random_array(DType::f32, {16, 256}, 2)},
         {}};
  Array y(DType::f32, {16, 256});
  for (std::int64_t i = 0; i < 16; ++i)
    for (std::int64_t j = 0; j < 256; ++j) y.set(i * 256 + j, 2 * c.inputs[0].get(i * 256 + 255 - j));
  c.want = {y};
  return c;
}

// ---- c: bulk copies, a ring of barriers, wgmma whose slot is released one iteration later -----------------------------------------
Case gemm() {
  Case c{read(R"(program gemm(A: bf16[256, 64], B: bf16[16, 64]) -> (C: f32[256, 16]) {
  buffer x: f32[256, 16] register {in j0, 4 elements a thread; relative from 0 2x8@2; relative from 0 2x1@1}
  buffer as: bf16[256, 64] shared slots 3 at k0 of c0 {in j0, 2048 elements, offset 0; relative from 0 128x1@16; relative from 0 16x1@1}
  buffer bs: bf16[16, 64] shared slots 3 at k0 of c0 {in j0, 128 elements, offset 12288; relative from 0 8x1@16; relative from 0 16x1@1}
  channel c0 at k0 slots 3 mbarrier full 1 empty 2 offset 13056: as bs
  role r0 warpgroups 1 registers 40: al bl
  role r1 warpgroups 2 registers 232: x C
  kernel gemm {
    for i0: 2 block {
      for j0: 2 block raster i0 group 8 persistent {
        for k0: 4 {
          r0: wait_empty c0
          r0: expect c0 bytes 4352
          for a0: 128 {
            for a1: 16 {
              r0: block al(i: 256 = i0 * 128 + a0, k: 64 = k0 * 16 + a1) by bulk_tensor at a0 atom a0 {
                as[i, k] = A[i, k]
              }
            }
          }
          for b0: 8 {
            for b1: 16 {
              r0: block bl(j: 16 = j0 * 8 + b0, k: 64 = k0 * 16 + b1) by bulk_tensor at b0 atom b0 {
                bs[j, k] = B[j, k]
              }
            }
          }
          r1: wait_full c0
          for w: 2 warpgroup {
            for t: 128 thread {
              for r1: 2 {
                for r0: 2 {
                  for kd: 16 {
                    r1: block x(i: 256 = i0 * 128 + w * 64 + (t / 32) * 16 + r1 * 8 + t / 4 % 8, j: 16 = j0 * 8 + (t % 4) * 2 + r0, reduce k: 64 = k0 * 16 + kd) by wgmma at t atom t as wgmma.k16.f32.bf16.bf16 {
                      x[i, j] sum= f32(as[i, k]) * f32(bs[j, k])
                    }
                  }
                }
              }
            }
          }
          r1: await_mma 1 warpgroup but first k0
          r1: arrive_empty c0 warpgroup lag 1 but first k0
        }
        r1: await_mma 0 warpgroup
        r1: arrive_empty c0 warpgroup
        for v: 2 warpgroup {
          for u: 128 thread {
            for q1: 2 {
              for q0: 2 {
                r1: block C(i: 256 = i0 * 128 + v * 64 + (u / 32) * 16 + q1 * 8 + u / 4 % 8, j: 16 = j0 * 8 + (u % 4) * 2 + q0) {
                  C[i, j] = x[i, j]
                }
              }
            }
          }
        }
      }
    }
  }
}
)"),
         {random_array(DType::bf16, {256, 64}, 3), random_array(DType::bf16, {16, 64}, 4)},
         {}};
  Array x(DType::f32, {256, 16});
  for (std::int64_t i = 0; i < 256; ++i)
    for (std::int64_t j = 0; j < 16; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < 64; ++k) sum += c.inputs[0].get(i * 64 + k) * c.inputs[1].get(j * 64 + k);
      x.set(i * 16 + j, sum);
    }
  c.want = {x};
  return c;
}

// ---- d: threads fill two slots that bulk copies take out --------------------------------------------------------------------------
Case panels() {
  Case c{read(R"(program panels(X: f32[96, 256]) -> (Y: f32[96, 256]) {
  buffer ys: f32[96, 256] shared slots 2 at p of c0 {in w, 1024 elements, one each w, offset 0; relative from 0 16x1@64; relative from 0 64x1@1}
  channel c0 at p slots 2 bulk_store owner warpgroup 2: ys
  kernel panels {
    for b: 3 block persistent {
      for w: 2 warpgroup {
        for p: 4 {
          await_bulk_read 1 warpgroup
          barrier warpgroup
          for t: 128 thread {
            for e: 8 {
              block ys(i: 96 = b * 32 + w * 16 + t / 8, j: 256 = p * 64 + (t % 8) * 8 + e) {
                ys[i, j] = X[i, j] * 2
              }
            }
          }
          fence_async
          barrier warpgroup
          for s0: 16 {
            for s1: 64 {
              block store(i: 96 = b * 32 + w * 16 + s0, j: 256 = p * 64 + s1) by bulk_tensor at s0 atom s0 {
                Y[i, j] = ys[i, j]
              }
            }
          }
          commit_bulk warpgroup
        }
      }
    }
    await_bulk_read 0 warpgroup
  }
}
)"),
         {random_array(DType::f32, {96, 256}, 5)},
         {}};
  Array y(DType::f32, {96, 256});
  for (std::int64_t n = 0; n < y.size(); ++n) y.set(n, 2 * c.inputs[0].get(n));
  c.want = {y};
  return c;
}

// ---- e: cp.async, one iteration ahead ---------------------------------------------------------------------------------------------
Case copies() {
  Case c{read(R"(program copies(X: f32[8, 256]) -> (Y: f32[8, 256]) {
  buffer xs: f32[8, 256] shared slots 2 at k {in kernel 0, 256 elements, offset 0; relative from 0 1x1@256; relative from 0 256x1@1}
  kernel copies {
    for t0: 256 thread {
      block first(i: 8 = 0, j: 256 = t0) by cp_async alone {
        xs[i, j] = X[i, j]
      }
    }
    commit_copies
    for k: 8 {
      for t1: 256 thread {
        block next(i: 8 = k, j: 256 = t1) if i < 8 ahead k by 1 by cp_async alone {
          xs[i, j] = X[i, j]
        }
      }
      commit_copies
      await_copies 1
      barrier
      for t2: 256 thread {
        block Y(i: 8 = k, j: 256 = t2) {
          Y[i, j] = xs[i, 255 - j] + xs[i, j]
        }
      }
      barrier
    }
    await_copies 0
  }
}
)"),
         {random_array(DType::f32, {8, 256}, 6)},
         {}};
  Array y(DType::f32, {8, 256});
  for (std::int64_t i = 0; i < 8; ++i)
    for (std::int64_t j = 0; j < 256; ++j) y.set(i * 256 + j, c.inputs[0].get(i * 256 + j) + c.inputs[0].get(i * 256 + 255 - j));
  c.want = {y};
  return c;
}

// ---- f: mma.sync out of registers that ldmatrix filled -----------------------------------------------------------------------------
const std::string tensor_core_text = R"(program mma(A: bf16[16, 32], B: bf16[8, 32]) -> (C: f32[16, 8]) {
  buffer as: bf16[16, 32] shared {in kernel 0, 512 elements, offset 0; from 0 16x1@32; from 0 32x1@1}
  buffer bs: bf16[8, 32] shared {in kernel 0, 256 elements, offset 1024; from 0 8x1@32; from 0 32x1@1}
  buffer ar: bf16[16, 32] register fragment [1: 2x1@1, 0: 2x8@2, 1: 2x8@4] {in k, 8 elements a thread; relative from 0 2x8@2; relative from 0 2x8@4 2x1@1}
  buffer br: bf16[8, 32] register fragment [1: 2x1@1, 1: 2x8@2] {in k, 4 elements a thread; relative from 0 1x1@1; relative from 0 2x8@2 2x1@1}
  buffer x: f32[16, 8] register fragment [1: 2x1@1, 0: 2x8@2] {in kernel 0, 4 elements a thread; relative from 0 2x8@2; relative from 0 2x1@1}
  kernel mma {
    for t0: 32 thread {
      for e0: 16 {
        block as(i: 16 = e0, k: 32 = t0) {
          as[i, k] = A[i, k]
        }
      }
    }
    for t1: 32 thread {
      for e1: 8 {
        block bs(j: 8 = e1, k: 32 = t1) {
          bs[j, k] = B[j, k]
        }
      }
    }
    for t2: 32 thread {
      for z1: 2 {
        for z0: 2 {
          block x.init(i: 16 = t2 / 4 + z1 * 8, j: 8 = (t2 % 4) * 2 + z0) {
            x[i, j] = 0.0
          }
        }
      }
    }
    barrier
    for k: 2 {
      for t3: 32 thread {
        for a2: 2 {
          for a1: 2 {
            for a0: 2 {
              block ar(i: 16 = t3 / 4 + a1 * 8, d: 32 = k * 16 + (t3 % 4) * 2 + a0 + a2 * 8) by ldmatrix at t3 atom t3 {
                ar[i, d] = as[i, d]
              }
            }
          }
        }
      }
      for t4: 32 thread {
        for b1: 2 {
          for b0: 2 {
            block br(j: 8 = t4 / 4, d: 32 = k * 16 + (t4 % 4) * 2 + b0 + b1 * 8) by ldmatrix at t4 atom t4 {
              br[j, d] = bs[j, d]
            }
          }
        }
      }
      for t: 32 thread {
        for r1: 2 {
          for r0: 2 {
            for kd: 16 {
              block x(i: 16 = t / 4 + r1 * 8, j: 8 = (t % 4) * 2 + r0, reduce d: 32 = k * 16 + kd) initialised by mma_sync at t atom t as mma.m16n8k16.f32.bf16.bf16 {
                x[i, j] sum= f32(ar[i, d]) * f32(br[j, d])
              }
            }
          }
        }
      }
    }
    for u: 32 thread {
      for q1: 2 {
        for q0: 2 {
          block C(i: 16 = u / 4 + q1 * 8, j: 8 = (u % 4) * 2 + q0) {
            C[i, j] = x[i, j]
          }
        }
      }
    }
  }
}
)";
Case tensor_core(const std::string& text = tensor_core_text) {
  Case c{read(text), {random_array(DType::bf16, {16, 32}, 7), random_array(DType::bf16, {8, 32}, 8)}, {}};
  Array x(DType::f32, {16, 8});
  for (std::int64_t i = 0; i < 16; ++i)
    for (std::int64_t j = 0; j < 8; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < 32; ++k) sum += c.inputs[0].get(i * 32 + k) * c.inputs[1].get(j * 32 + k);
      x.set(i * 8 + j, sum);
    }
  c.want = {x};
  return c;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}
/// What the first run says, without the place.
std::string said(const Case& c, SimulateOptions o = {}) {
  const auto run = simulate(c.program, {}, c.inputs, o);
  if (!run) return message(run.error());
  return test::simulation_fault(c.program, {}, c.inputs, c.want, {o});
}

}  // namespace

TEST_CASE("simulator: shared memory and barriers") { check(turn(), {}, 9); }

// A ring of two slots is as right as one of three.
TEST_CASE("simulator: a ring of bulk copies and plain threads") { check(ring(), {"c0 slots one less"}, 35); }

// In the first iteration one group has been issued, and await_mma 1 lets it run. Two slots do for a release one iteration later.
TEST_CASE("simulator: a ring of bulk copies and wgmma") { check(gemm(), {"await_mma in the first iteration, too", "c0 slots one less"}, 51); }

// A slot that nobody uses costs memory only.
TEST_CASE("simulator: bulk stores of what threads wrote") { check(panels(), {"'ys' slots one more"}, 25); }

TEST_CASE("simulator: copies in groups, one iteration ahead") { check(copies(), {}, 26); }

TEST_CASE("simulator: what orders threads is missed in every order of threads, not in unlucky ones") {
  // Those that depend on chance: a release that is left out at the end of a tile shows where a block has a second one.
  for (const Case& c : {turn(), ring(), gemm(), panels(), copies()})
    for (const test::Mutant& m : test::mutants(c.program)) {
      std::size_t caught = 0;
      const std::vector<SimulateOptions> all = test::simulations(6);
      for (const SimulateOptions& o : all) caught += test::simulation_fault(m.program, {}, c.inputs, c.want, {o}) != "";
      INFO(c.program.name << ": " << m.name << ", " << caught << " of " << all.size());
      CHECK((caught == 0 || caught == all.size() || (c.program.name == "ring" && m.name == "arrive_empty c0 one iteration later, but the first")));
    }
}

// One warp is all there is: a barrier of the warp, or of its warpgroup, is one of the block.
TEST_CASE("simulator: matrix instructions out of registers") {
  check(tensor_core(), {"barrier of the warpgroup only", "barrier of the warp only"}, 5);
  // Threads hold other rows, and other registers, than the instruction takes them from.
  const std::string rows = "(i: 16 = t3 / 4 + a1 * 8, d: 32 = k * 16 + (t3 % 4) * 2 + a0 + a2 * 8)", others = "(i: 16 = t3 % 8 + a1 * 8, d: 32 = k * 16 + (t3 / 8) * 2 + a0 + a2 * 8)";
  CHECK(said(tensor_core(replaced(tensor_core_text, rows, others))) ==
        "kernel 'mma': ldmatrix of 'ar' (hand.ir:37) has the element at byte 66 of shared memory in element 1 of lane 1; eight lanes share no row of 16 bytes there");
  CHECK(said(tensor_core(replaced(tensor_core_text, rows + " by ldmatrix at t3 atom t3", others))) ==
        "kernel 'mma': 'x' (hand.ir:57) finds element (0, 2) of its rows in register 0 of thread 8; mma.m16n8k16.f32.bf16.bf16 wants it in register 0 of thread 1");
  CHECK(said(tensor_core(replaced(tensor_core_text, "{in k, 8 elements a thread; relative from 0 2x8@2; relative from 0 2x8@4 2x1@1}", "{in k, 8 elements a thread; relative from 0 2x8@4; relative from 0 2x8@2 2x1@1}"))) ==
        "kernel 'mma': 'x' (hand.ir:57) finds element (0, 8) of its rows in register 2 of thread 0; mma.m16n8k16.f32.bf16.bf16 wants it in register 4 of thread 0");
  CHECK(said(tensor_core(replaced(tensor_core_text, "{in kernel 0, 4 elements a thread; relative from 0 2x8@2; relative from 0 2x1@1}", "{in kernel 0, 4 elements a thread; relative from 0 2x8@1; relative from 0 2x1@2}"))) ==
        "kernel 'mma': 'x' (hand.ir:57) has element (0, 1) of the instruction in register 2 of thread 0; mma.m16n8k16.f32.bf16.bf16 has it in register 1 of thread 0");
}
