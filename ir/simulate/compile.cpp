#include "ir/simulate/compiler.h"

#include "ir/loop/affine.h"

namespace tecc::simulator {

Compiler::Compiler(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit) : p_(p), dims_(dims), shared_limit_(shared_limit) {
  k_.p = &p;
  k_.root = root;
  k_.name = p[root].as<Root>()->name;
  k_.loops.resize(p.stmts.size());
  k_.buffers.resize(p.buffers.size());
  k_.channels.resize(p.channels.size());
}

Result<Kernel> Compiler::run() {
  for (BlockId b : blocks_under(p_, k_.root)) TECC_CHECK(tops(b));
  TECC_CHECK(grid());
  TECC_CHECK(loops(k_.root));
  TECC_CHECK(buffers());
  TECC_CHECK(channels());
  TECC_CHECK(roles());
  for (RoleCode& r : k_.roles) {
    role_ = r.role;
    const std::vector<LoopId> frame = grid_of(p_, k_.root);
    const StmtId inside = frame.empty() ? k_.root : StmtId(frame.back());
    if (!frame.empty()) {
      r.code.push_back({Op::Kind::grid, frame.back()});
      if (k_.grid_stages) skewed_ = k_.grid.back();
      TECC_CHECK(statements(inside, r, 0));
      skewed_.reset();
      r.code.push_back({Op::Kind::next_tile, frame.back(), 0});
      r.code[0].other = r.code.size();
      TECC_CHECK(statements(k_.root, r, 1));
    } else {
      TECC_CHECK(statements(inside, r, 0));
    }
  }
  return std::move(k_);
}

Result<Kernel> compile(const Program& p, StmtId root, const std::vector<std::int64_t>& dims, std::int64_t shared_limit) { return Compiler(p, root, dims, shared_limit).run(); }

}  // namespace tecc::simulator
