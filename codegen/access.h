#pragma once
#include <optional>
#include <vector>

#include "ir/loop/program.h"

namespace tecc::codegen {

/// The address of an element, in elements from the start of the buffer, as emitters need it: as much as possible is one sum
/// of digits over loops with constant strides.
struct Address {
  loop::Binding linear;
  struct Symbolic {  // an affine index times a stride known only at launch
    loop::Binding index;
    Expr stride;
  };
  std::vector<Symbolic> symbolic;
  struct General {  // (index - minus - origin) / unit % count * stride, with an index that is no sum of digits
    Expr index;
    loop::Binding minus;
    std::int64_t origin, unit, count;  // count 0: no remainder is taken
    Expr stride;
  };
  std::vector<General> general;
  struct Slot {  // + (loop + ahead) % slots * elements; without a loop: slot 0
    std::optional<loop::LoopId> loop;
    std::int64_t ahead, slots, elements;
  };
  std::optional<Slot> slot;
};
/// With `at_zero`, these loops stand at their first iteration.
Address address_of(const loop::Program& p, loop::BlockId block, TensorId buffer, const std::vector<Expr>& index, const std::vector<loop::LoopId>& at_zero = {});
/// The binding with these loops, and what follows from them, at zero.
loop::Binding at_zero(const loop::Program& p, loop::Binding b, const std::vector<loop::LoopId>& loops);

/// Of a read with a fill, or of any that a condition around it may leave out (`lazy`): the conditions under which the element exists, without those
/// that always hold.
std::vector<Expr> in_bounds(const loop::Program& p, const loop::Block& b, const Read& r, bool lazy = false);

/// True if `width` neighbouring iterations of loop `v` touch neighbouring elements that start at a multiple of `width`.
bool is_vector(const loop::Program& p, const Address& a, loop::LoopId v, std::int64_t width);
/// True if the address does not change with loop `v`.
bool is_uniform(const loop::Program& p, const loop::Block& b, const Address& a, loop::LoopId v);
/// True if the expression over iteration variables changes with loop `v`.
bool varies(const loop::Program& p, const loop::Block& b, const Expr& e, loop::LoopId v);
/// True if the guard holds for all of `width` iterations of `v` or for none.
bool guard_is_uniform(const loop::Program& p, const loop::Block& b, const Expr& guard, loop::LoopId v, std::int64_t width);

}  // namespace tecc::codegen
