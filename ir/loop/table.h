#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace tecc {

/// A persistent table of immutable rows by id: a copy shares every row, an edit replaces one. Ids are never reused; a
/// removed row stays empty.
template <class IdType, class Row>
class Table {
 public:
  IdType add(Row row) {
    rows_.push_back(std::make_shared<const Row>(std::move(row)));
    return {static_cast<std::uint32_t>(rows_.size() - 1)};
  }
  const Row& operator[](IdType id) const { return *rows_[id.n]; }
  bool has(IdType id) const { return id.n < rows_.size() && rows_[id.n] != nullptr; }
  void set(IdType id, Row row) { rows_[id.n] = std::make_shared<const Row>(std::move(row)); }
  void remove(IdType id) { rows_[id.n] = nullptr; }
  /// edit(id, [](Row& r) {...}): replaces the row by a changed copy.
  template <class F>
  void edit(IdType id, F&& change) {
    Row copy = *rows_[id.n];
    change(copy);
    set(id, std::move(copy));
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(rows_.size()); }

 private:
  std::vector<std::shared_ptr<const Row>> rows_;
};

}  // namespace tecc
