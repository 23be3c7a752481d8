#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "ir/base/errors.h"
#include "ir/expr.h"

namespace tecc::interpreter {

/// An element: floats in f (exact for every float type), integers and truth values in i.
union Value {
  double f;
  std::int64_t i;
};

struct Frame;

/// An expression compiled to a tree of small objects with resolved slots.
struct Node {
  virtual ~Node() = default;
  virtual Value run(Frame& frame) const = 0;
};
using NodePtr = std::unique_ptr<Node>;

/// A tensor while it is computed: its bounding box, row-major.
struct Storage {
  std::string name;
  std::vector<Value> elements;
  std::vector<std::int64_t> extents, strides;
  std::vector<std::uint32_t> axis_slots;  // of a stage: where its extents find the indices
  std::vector<NodePtr> ragged;            // per dimension the extent, if it follows an earlier axis
};

struct Frame {
  std::vector<std::int64_t> variables;  // by VarId
  std::vector<Storage> tensors;         // by TensorId
  const Storage* stage = nullptr;       // being computed, for messages
  std::optional<Refusal> failed;
};

/// Rounds the result of an operation to its type.
struct Rounding {
  DType type;
  bool wide;
  double operator()(double v) const;
};

/// One step of a reduction; `count` elements have been seen before.
struct Accumulator {
  Reducer op;
  DType type;  // of the elements
  bool wide;
  Value start() const;
  void add(Value& sum, Value element, Value& best, std::int64_t count) const;
  Value finish(Value sum, std::int64_t count) const;  // mean: divides; narrow floats: rounds
};

class Compiler {
 public:
  Compiler(Frame& frame, bool wide) : frame_(frame), wide_(wide) {}
  NodePtr compile(const Expr& e) const;

 private:
  struct AffineIndex;
  NodePtr unary(const Unary& u, DType type) const;
  NodePtr binary(const Binary& b, const Expr& e) const;
  NodePtr float_binary(BinOp op, DType operands, DType type, NodePtr a, NodePtr b) const;
  NodePtr integer_binary(BinOp op, DType type, NodePtr a, NodePtr b, std::string text) const;
  NodePtr cast(DType from, DType to, NodePtr a) const;
  NodePtr read(const Read& r) const;
  NodePtr reduce(const Reduce& r) const;

  Frame& frame_;
  bool wide_;
};

}  // namespace tecc::interpreter
