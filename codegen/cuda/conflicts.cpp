#include "codegen/cuda/conflicts.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/access.h"
#include "compiler/pass/passes.h"
#include "ir/layout/program.h"
#include "ir/loop/affine.h"

namespace tecc::codegen::cuda {

using namespace loop;
using layout::Layout;

namespace {

bool is_shared(const Buffer& b) { return b.scope == Scope::shared && b.storage; }

std::size_t fast_dim(const Buffer& b) { return b.order.empty() ? b.shape.size() - 1 : static_cast<std::size_t>(b.order.back()); }

/// The dimension beside the contiguous one whose neighbours are one run further: the one that is cut the finest.
std::optional<std::size_t> row_dim(const Buffer& b) {
  std::optional<std::size_t> out;
  for (std::size_t d = 0; d < b.storage->dims.size(); ++d) {
    const auto& cuts = b.storage->dims[d].cuts;
    if (d == fast_dim(b) || cuts.empty() || b.storage->dims[d].extent() == 1) continue;
    if (!out || cuts.back().place < b.storage->dims[*out].cuts.back().place) out = d;
  }
  return out;
}

/// Threads that name rows of 16 bytes, as for stmatrix and ldmatrix: thread -> (row, element of it), through the buffer's storage.
std::optional<layout::BankConflicts> rows_of(const Buffer& b, const FragmentLayout& address, std::int64_t threads) {
  const auto row = row_dim(b);
  const auto storage = layout::of_storage(b);
  if (!row || !storage) return std::nullopt;
  Layout places{{{"register", 1}, {"thread", threads}}, storage->in, {}, {}};
  for (const Piece& x : address) places.strides.push_back({1, x.div, x.count, x.dim == 0 ? *row : fast_dim(b), x.stride});
  const auto bytes = layout::compose(*storage, layout::normal(std::move(places)));
  return bytes ? std::optional(layout::bank_conflicts(*bytes, bytes_of(b.type), 16)) : std::nullopt;
}

/// Threads that load or store for themselves: (lane of a vector, thread) -> byte.
struct Plain {
  const Program& p;
  BlockId id;
  std::int64_t width_elements = 1;

  std::optional<Layout> places(TensorId t, const std::vector<Expr>& index, std::int64_t threads) {
    const Buffer& b = p[t];
    const Address a = address_of(p, id, t, index);
    if (!a.general.empty() || !a.symbolic.empty()) return std::nullopt;
    const std::vector<LoopId> around = loops_around(p, id);
    std::optional<LoopId> vector;
    if (!around.empty() && p.loop(around.back()).kind == LoopKind::vectorized) {
      const std::int64_t n = constant_extent(p, around.back()).value_or(1), most = 16 / bytes_of(b.type);
      const std::int64_t word = std::min(n, most);
      if (n % word == 0 && is_vector(p, a, around.back(), word)) vector = around.back(), width_elements = word;
    }
    const std::int64_t bytes = bytes_of(b.type), size = b.storage->elements * bytes;
    Layout out{{{"register", width_elements}, {"thread", threads}}, {{"byte", size}}, {}, {}};
    if (vector) out.strides.push_back({0, 1, width_elements, 0, bytes});
    for (const Digit& d : a.linear.digits) {
      if (p.loop(d.loop).retired) return std::nullopt;
      if (const auto digit = compiler::thread_digit(p, d)) out.strides.push_back({1, digit->div, digit->mod, 0, digit->stride * bytes});
    }
    out = layout::normal(std::move(out));
    return b.swizzle ? layout::compose(layout::swizzle(b.swizzle, size), out) : out;
  }
};

SharedAccess plain_access(const Program& p, BlockId id, TensorId t, const std::vector<Expr>& index, bool is_write) {
  const Buffer& b = p[t];
  SharedAccess out{p.block(id).name, b.name, is_write, "", bytes_of(b.type), std::nullopt};
  Plain plain{p, id};
  if (const auto places = plain.places(t, index, compiler::threads_at(p, id))) {
    out.width = plain.width_elements * bytes_of(b.type);
    out.banks = layout::bank_conflicts(*places, bytes_of(b.type), out.width);
  }
  out.how = fmt::format("{} byte{} a thread", out.width, out.width == 1 ? "" : "s");
  return out;
}

}  // namespace

std::vector<SharedAccess> shared_accesses(const Program& p) {
  std::vector<SharedAccess> out;
  const auto add = [&](SharedAccess a) {  // a pipeline's first copy is the same access once more
    const bool known = std::any_of(out.begin(), out.end(), [&](const SharedAccess& o) { return o.statement == a.statement && o.buffer == a.buffer && o.is_write == a.is_write && o.how == a.how; });
    if (!known) out.push_back(std::move(a));
  };
  for (BlockId id : all_blocks(p)) {
    const Block& b = p.block(id);
    const Via via = b.tile ? b.tile->via : Via::plain;
    if (via == Via::bulk || via == Via::bulk_tensor || via == Via::cp_async) continue;
    for (const Write& w : b.writes) {
      if (is_shared(p[w.buffer])) {
        const Buffer& to = p[w.buffer];
        if (via != Via::stmatrix) add(plain_access(p, id, w.buffer, w.index, true));
        else add({b.name, to.name, true, "stmatrix", 16, rows_of(to, matrix_move(4).address, 32)});
      }
      walk(w.value, [&](const Expr& e) {
        const auto* r = e.as<Read>();
        if (!r || !is_shared(p[r->tensor])) return true;
        const Buffer& from = p[r->tensor];
        // An operand is read eight rows of 16 bytes at a time ("core matrices").
        if (via == Via::wgmma) add({b.name, from.name, false, "wgmma", 16, rows_of(from, {{Piece::Of::thread, 1, 8, 0, 1}}, 8)});
        else if (via == Via::ldmatrix) add({b.name, from.name, false, "ldmatrix", 16, rows_of(from, matrix_move(4).address, 32)});
        else if (via != Via::mma_sync) add(plain_access(p, id, r->tensor, r->index, false));
        return true;
      });
    }
  }
  return out;
}

}  // namespace tecc::codegen::cuda
