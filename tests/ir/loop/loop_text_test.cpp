#include "ir/loop/parse.h"

#include "ir/instruction/instruction.h"
#include "ir/loop/verify.h"
#include "tests/support/reread.h"

using namespace tecc;
using namespace tecc::loop;

namespace {

/// What a user reads; "" if the text is good.
std::string fault(const std::string& text) {
  const Source source{intern("p.ir"), text};
  const auto p = parse(source);
  return p ? "" : render(p.error(), source);
}
void keeps(const std::string& text) {
  INFO(fault(text));
  const auto p = parse({intern("p.ir"), text});
  REQUIRE(p);
  CHECK(print(*p) == text);
}
Program read(const std::string& text) { return test::require(parse({intern("p.ir"), text})); }

const std::string small = R"(program k(X: f32[N]; N = 1..64:8) -> (Y: f32[N]) {
  kernel k {
    for i: N {
      block Y(i: N = i) {
        Y[i] = X[i] + 1
      }
    }
  }
}
)";

/// Everything that lines before the kernels can hold, once.
const std::string lines = R"(program k(A: bf16[M, 64] align 128, alpha: f32; M = 64..4096:64, P = 1..9) -> (C: f32[M, 64]) {
  buffer as: bf16[M, 64] shared order [1, 0] pad 8 slots 4 at k0 of c0 panel 64 swizzle 128 {in kernel 0, 4096 elements, offset 1024; relative from 0 64x1@64; relative from 0 64x1@1}
  buffer acc: f32[M, 64] register fragment [1: 2x1@1, 0: 2x8@2, 1: 8x8@4] {in w, 32 elements a thread; relative from 0 2x8@2; from -1 8x8@4 2x1@1}
  buffer cs: f32[M, 64] shared slots 1 at m0 of c1 reuses as {in w, 4096 elements, one each w, offset 40960; relative from 0 64x1@64; relative from 0 64x1@1}
  buffer best: f32[M] local {in m0, 1 elements a thread; from 0 1x1@1}
  buffer place: i64[M] local {in m0, 1 elements a thread; from 0 1x1@1}
  buffer scratch: i64[32] shared {in kernel 0, 32 elements, offset 90112; from 0 32x1@1}
  channel c0 at k0 slots 4 mbarrier full 1 empty 2 offset 90368: as
  channel c1 at m0 slots 1 bulk_store owner warpgroup 1: cs
  role r0 warpgroups 1 registers 40: al
  role r1 warpgroups 1 registers 232: acc first cl
  stages C = al, D = first, gone = _
  take_turns at w: acc first
  skew at k0: al acc stage 1 first
  cross_thread_reduce first at m0
  let i: M = m0 * 64 + (t / 4 % 8) * 2 - 3
)";

}  // namespace

TEST_CASE("loop text: a naive program") {
  keeps(small);
  const Program p = read(small);
  CHECK(p.dims.size() == 1);
  CHECK(p.dims.begin()->second == te::DimRange{1, 64, 8});
  CHECK(p.stages.size() == 1);
  CHECK(p.block(p.stages[0].block).axes == std::vector<LoopId>{loops_around(p, p.stages[0].block)[0]});
  CHECK(p[p.stages[0].block].at == CallSite{intern("p.ir"), 4, 7});
  CHECK(verify(p, Level::scheduled));
}

TEST_CASE("loop text: a kernel that begins while the one before ends") {
  std::string text = small;
  text.insert(text.find("kernel k {") + 8, " dependent");
  keeps(text);
  CHECK(read(text)[read(text).kernels[0]].as<Root>()->start == Root::Start::dependent);
  text.replace(text.find("kernel k dependent"), 18, "kernel k concurrent");
  keeps(text);
  CHECK(read(text)[read(text).kernels[0]].as<Root>()->start == Root::Start::concurrent);
  text.replace(text.find("kernel k concurrent"), 19, "kernel dependent");  // a name like any other
  keeps(text);
}

TEST_CASE("loop text: everything a program can hold") {
  keeps(lines + R"(  kernel k {
    for n0: P block {
      for m0: M / 64 block raster n0 group 8 persistent {
        for k0: 4 stages 1 {
          r0: wait_empty c0
          r0: expect c0 bytes 8192
          for x0: 64 {
            for x1: 16 {
              r0: block al(x0: M = m0 * 64 + x0, x1: 64 = k0 * 16 + x1) by bulk_tensor at x0 atom x1 axes (_, x1) {
                as[x0, x1] = A[x0, x1] else 0.0
              }
            }
          }
          r1: wait_full c0
          for w: 1 warpgroup {
            for t: 128 thread {
              for r: 32 unrolled {
                for kd: 16 {
                  r1: block acc(i: M = i, j: 64 = (t % 4) * 2 + r, reduce k: 64 = k0 * 16 + kd) by wgmma swap at t atom r as wgmma.k16.f32.bf16.bf16 {
                    acc[i, j] sum= f32(as[i, k]) * f32(as[j, k])
                  }
                }
              }
            }
          }
          r1+1: await_mma 1 warpgroup but first k0
          +1: await_turn 2 warpgroup
          r1: pass_turn 2 warpgroup
          r1: arrive_empty c0 warpgroup lag 1 but first k0
          acquire c1
          commit c1 lag 2
          wait c0
          release c0 lag 1 but first k0
        }
        for w_2: 1 warpgroup {
          for t_2: 128 thread vectorized {
            r1: block first(i: 1..M = i, reduce j: -2..64 = t_2 * -1 + 63, scan s: M = m0) where i < 4, j != s if i < M || !(j <= 3) initialised ahead k0 by 1 by vector alone axes (m0, _, m0) {
              best[i] argmax= acc[i, j]
              place[i] argmax= j
            }
          }
        }
        combine argmax best place threads 128 stride 1 scratch scratch
        barrier
        r1: fence_async
        r1: barrier warpgroup
        r1: block cl(i: M = m0 * 64, j: 64 = 0) by bulk {
          C[i, j] = cs[i, j] * alpha[] + best[i]
        }
        r1: commit_bulk warpgroup
        r1: await_bulk_read 1 warpgroup
        r1: await_bulk 0
        commit_copies
        await_copies 2
        r0: arrive_full c0
      }
    }
  }
}
)");
}

TEST_CASE("loop text: rows hold what their lines say") {
  const Program p = read(R"(program k(X: f32[64]) -> (Y: f32[64]) {
  buffer xs: f32[64] shared slots 2 at i0 of c0 {in kernel 0, 32 elements, offset 256; relative from 2 4x8@1 8x1@4}
  channel c0 at i0 slots 2 mbarrier empty 3: xs
  role r0 warpgroups 2 registers 40: Y
  kernel k {
    for i0: 2 block persistent {
      r0: arrive_empty c0 warpgroup lag 1 but first i0
      for t: 32 thread {
        r0: block Y(i: 64 = i0 * 32 + t) by vector at t {
          Y[i] = X[i]
        }
      }
    }
  }
}
)");
  const Buffer& xs = p[TensorId{2}];
  CHECK(xs.scope == Scope::shared);
  CHECK(xs.channel == 0u);
  CHECK(xs.storage->at == p.kernels[0]);
  CHECK(xs.storage->offset_bytes == 256);
  CHECK(xs.storage->dims[0].origin == 2);
  CHECK(xs.storage->dims[0].cuts == std::vector<Storage::Cut>{{8, 4, 1}, {1, 8, 4}});
  CHECK(p.channels[0].how == Channel::How::mbarrier);
  CHECK(p.channels[0].empty_arrivals == 3);
  CHECK(p.roles[0].warpgroups == 2);
  const BlockId b = all_blocks(p)[0];
  CHECK(p[b].role == 0u);
  CHECK(p.block(b).tile->via == Via::vector);
  const std::vector<LoopId> around = loops_around(p, b);
  CHECK(p.block(b).tile->top == around[1]);
  CHECK(p.loop(around[0]).persistent);
  CHECK(p.loop(around[1]).group == Group::thread);
  const Sync* s = p[p[around[0]].children[0]].as<Sync>();
  REQUIRE(s);
  CHECK(s->op == Sync::Op::arrive_empty);
  CHECK(s->lag == 1);
  CHECK(s->group == Group::warpgroup);
  CHECK(s->not_first == around[0]);
}

TEST_CASE("loop text: literals keep their types") {
  const auto value = [](const std::string& type, const std::string& text) {
    const Program p = read("program k(X: " + type + "[4]) -> (Y: " + type + "[4]) {\n  kernel k {\n    for i: 4 {\n      block Y(i: 4 = i) {\n        Y[i] = " + text + "\n      }\n    }\n  }\n}\n");
    test::reread(p);
    return p.block(all_blocks(p)[0]).writes[0].value;
  };
  CHECK(value("f32", "1")->type == DType::f32);
  CHECK(value("bf16", "X[i] * 0.5").as<Binary>()->b->type == DType::bf16);
  CHECK(value("f32", "-inf").as<Literal>()->real == -std::numeric_limits<double>::infinity());
  CHECK(value("f32", "f32(1)").as<Cast>()->a->type == DType::i64);
  CHECK(value("f32", "f32(1:bf16)").as<Cast>()->a->type == DType::bf16);
  CHECK(value("f32", "f32(0.5)").as<Cast>()->a->type == DType::f32);
  CHECK(value("f64", "select(i < 2, 0, exp(1))").as<Select>()->otherwise.as<Unary>()->a->type == DType::f64);
  CHECK(value("i64", "-9223372036854775808").as<Literal>()->integer == INT64_MIN);
  CHECK(value("f32", "tf32(X[i])")->type == DType::f32);
  CHECK(value("u8", "max(X[i], 3)").as<Binary>()->b->type == DType::u8);
  // A literal whose type its place does not say is printed with it.
  Program p = read(small);
  p.stmts.edit(all_blocks(p)[0], [](Stmt& s) { std::get<Block>(s.node).writes[0].value = make(Cast{DType::f32, literal(0.5, DType::f16)}, DType::f32); });
  CHECK(print(p).find("Y[i] = f32(0.5:f16)") != std::string::npos);
  test::reread(p);
}

TEST_CASE("loop text: names that repeat get numbers, and numbers that are taken are passed by") {
  Program p = read(R"(program k(X: f32[4]) -> (Y: f32[4]) {
  kernel k {
    for k: 2 {
      for k_2: 2 {
        block Y(i: 4 = k * 2 + k_2) {
          Y[i] = X[i]
        }
      }
    }
    for z: 4 {
      block Z(i: 4 = z) {
        Y[i] = X[i]
      }
    }
  }
}
)");
  const BlockId second = all_blocks(p)[1];
  p.vars.set(p.loop(loops_around(p, second)[0]).var, {"k"});
  p.stmts.edit(second, [](Stmt& s) { std::get<Block>(s.node).name = "Y"; });
  const std::string text = print(p);
  CHECK(text.find("for k_3: 4") != std::string::npos);
  CHECK(text.find("block Y_2(i: 4 = k_3)") != std::string::npos);
  test::reread(p);
}

TEST_CASE("loop text: what is wrong, where, and what would be legal") {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = small;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return fault(text.replace(at, from.size(), to));
  };
  const auto line = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  CHECK(with("X[i] + 1", "X[i] ? 1") ==
        "p.ir:5:21: error E0101: the character '?' starts no word of the language; names and operators are plain ASCII\n"
        "          Y[i] = X[i] ? 1\n"
        "                      ^");
  CHECK(line(with("N = i)", "N = j)")) == "p.ir:4:22: error E0150: unknown loop 'j'; known: i");
  CHECK(line(with("X[i] + 1", "x[i] + 1")) == "p.ir:5:16: error E0150: unknown buffer 'x'; known: X, Y");
  CHECK(line(with("X[i] + 1", "X[j] + 1")) == "p.ir:5:18: error E0150: unknown variable 'j'; known: i, N");
  CHECK(line(with("X[i] + 1", "X[i] + i")) == "p.ir:5:23: error E0153: 'i' has type i64 where f32 is needed; write a cast, f32(x), or give the literal its type, 1:f32");
  CHECK(line(with("X[i] + 1", "X[i] < 1")) == "p.ir:5:16: error E0153: 'X[i] < 1' has type bool where f32 is needed; write a cast, f32(x), or give the literal its type, 1:f32");
  CHECK(line(with("X[i] + 1", "X[i, i]")) == "p.ir:5:16: error E0154: 'X' has 1 dimensions but is read with 2; write one for each");
  CHECK(line(with("Y[i] =", "Y[] =")) == "p.ir:5:9: error E0154: 'Y' has 1 dimensions but is written with 0; write one for each");
  CHECK(line(with("X[i] + 1", "X[i] +")) == "p.ir:6:7: error E0104: expected an expression but found '}'");
  CHECK(line(with("for i: N {", "for i: N fast {")) == "p.ir:3:14: error E0104: expected '{' but found 'fast'");
  CHECK(line(with("= i) {", "= i) by tensor {")) ==
        "p.ir:4:28: error E0152: 'tensor' is not a way to carry out a statement; legal: plain, vector, cp_async, bulk, bulk_tensor, ldmatrix, stmatrix, mma_sync or wgmma");
  CHECK(line(with("= i) {", "= i) by wgmma as wgmma.k16.f32.bf16.bf61 {")) ==
        "p.ir:4:37: error E0150: unknown instruction 'wgmma.k16.f32.bf16.bf61'; did you mean 'wgmma.k16.f32.bf16.bf16'?");
  CHECK(line(with("= i) {", "= i) initialised {")) == "p.ir:4:25: error E0155: block 'Y' is no reduction but initialised; legal: C[i] sum= .., or no 'initialised'");
  CHECK(line(with("      block", "      r1: block")) == "p.ir:4:7: error E0150: unknown role 'r1'; there are 0");
  CHECK(line(with("  kernel", "  channel c1 at i slots 2: X\n  kernel")) == "p.ir:2:11: error E0152: 'c1' is not the next channel; legal: c0");
  CHECK(line(with("  kernel", "  channel c0 at i slots 0: X\n  kernel")) == "p.ir:2:25: error E0152: '0' is not a number of slots; legal: 1 or more");
  CHECK(line(with("  kernel", "  buffer X: f32[4]\n  kernel")) == "p.ir:2:10: error E0151: the buffer 'X' stands twice; choose another name for one of them");
  CHECK(line(with("  kernel", "  buffer Z: f32[4] order [1]\n  kernel")) == "p.ir:2:27: error E0154: 'Z' has 1 dimensions but stands in order with 1; write one for each");
  CHECK(line(with("  kernel", "  let l: 4 = l * 2\n  kernel")) == "p.ir:2:3: error E0155: the value of loop 'l' follows from itself; legal: digits of other loops");
  CHECK(line(with("  kernel", "  buffer Z: f32[4] shared {in kernel 3, 4 elements; from 0 4x1@1}\n  kernel")) == "p.ir:2:31: error E0150: unknown kernel '3'; there are 1, from 0");
  CHECK(line(with("  kernel", "  buffer Z: f32[4] shared {in i, 4 elements}\n  kernel")) == "p.ir:2:10: error E0154: 'Z' has 1 dimensions but has storage for 0; write one for each");
  CHECK(line(with("        Y[i] = X[i] + 1\n", "")) == "p.ir:5:7: error E0155: block 'Y' writes nothing; legal: at least one line, C[i, j] = ..");
  CHECK(line(with("    for i: N {", "    barrier\n    sleep\n    for i: N {")) ==
        "p.ir:4:5: error E0104: expected a statement (for, block, barrier, combine, an event or an operation on barriers) or '}' but found 'sleep'");
  CHECK(line(with("for i: N {", "for i: 99999999999999999999 {")) == "p.ir:3:12: error E0103: the number '99999999999999999999' is too large; an integer is at most 9223372036854775807");
  CHECK(line(fault("")) == "p.ir:1:1: error E0104: expected 'program' but found the end of the text");
  CHECK(line(fault(small + "x")) == "p.ir:10:1: error E0104: expected the end of the text but found 'x'");
  CHECK(line(fault(small.substr(0, small.find("  kernel")) + "}\n")) == "p.ir:2:1: error E0104: expected a kernel but found '}'");
}
