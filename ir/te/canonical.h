#pragma once
#include <functional>

#include "ir/te/kernel.h"

namespace tecc::te {

/// Numbers that stand for names in canonical texts.
struct Numbering {
  std::function<std::uint32_t(VarId)> var;
  std::function<std::uint32_t(TensorId)> tensor;
};
/// A text that two expressions share exactly if they compute the same thing in the same way. Without names and places.
void append_canonical(std::string& out, const Expr& e, const Numbering& numbers);
/// All of a stage but its tensor's name and number.
std::string canonical(const LiftedStage& stage, DType type, const Numbering& numbers);

}  // namespace tecc::te
