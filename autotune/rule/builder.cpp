#include "autotune/rule/builder.h"

#include <fmt/format.h>

#include "ir/loop/affine.h"

namespace tecc::autotune {

using schedule::Ref;

Builder::Builder(const loop::Program& naive) : state_{naive, {}} {
  for (const loop::StageInfo& s : naive.stages) taken_.insert(s.name);
  for (TensorId t : naive.inputs) taken_.insert(naive[t].name);
}

std::string Builder::free_name(std::string name) {
  while (!taken_.insert(name).second) name += "_";
  return name;
}

Result<std::vector<Ref>> Builder::add(schedule::Step step, std::vector<std::string> names) {
  TECC_CHECK(schedule::run(state_, step));
  const auto n = static_cast<std::uint32_t>(trace_.size());
  std::vector<Ref> out;
  for (std::uint32_t r = 0; r < state_.results.back().size(); ++r) out.push_back({Ref::Base::step, n, r, {}});
  names.resize(std::min(names.size(), out.size()));
  for (std::size_t r = names.size(); r < out.size(); ++r) names.push_back(fmt::format("{}{}", static_cast<char>('a' + n % 26), fmt::format("{}_{}", n / 26 ? std::to_string(n / 26) : "", r)));
  for (std::string& name : names) name = free_name(std::move(name));
  trace_.push_back({std::move(step), std::move(names), {}});
  return out;
}

std::vector<Ref> Builder::axes(const Ref& block, std::size_t rank) {
  std::vector<Ref> out;
  for (std::size_t n = 0; n < rank; ++n) out.push_back(axis(block, n));
  return out;
}

std::optional<Ref> Builder::fuse_all(const std::vector<Ref>& loops, const std::string& name) {
  std::optional<Ref> all;
  for (const Ref& l : loops) {
    if (!present(l)) continue;
    if (!all) {
      all = l;
      continue;
    }
    const auto made = add(schedule::Fuse{*all, l}, {name});
    if (!made) return std::nullopt;
    all = (*made)[0];
  }
  return all;
}

bool Builder::present(const Ref& r) const { return schedule::present_loop(state_, r).has_value(); }

std::optional<Ref> Builder::tensor(TensorId t) const {
  const loop::Program& p = program();
  for (std::uint32_t n = 0; n < p.inputs.size(); ++n)
    if (p.inputs[n] == t) return Ref{Ref::Base::input, n, 0, {}};
  for (std::uint32_t n = 0; n < p.stages.size(); ++n)
    if (p.stmts.has(p.stages[n].block) && loop::writes(p.block(p.stages[n].block), t)) return stage(n);
  for (std::uint32_t n = 0; n < state_.results.size(); ++n)
    for (std::uint32_t r = 0; r < state_.results[n].size(); ++r)
      if (const auto* b = std::get_if<schedule::BufferHandle>(&state_.results[n][r]); b && b->id == t) return Ref{Ref::Base::step, n, r, {}};
  return std::nullopt;
}

std::int64_t Builder::extent(const Ref& r) const {
  const auto l = schedule::present_loop(state_, r);
  return l ? loop::largest(program(), program().loop(*l).extent) : 1;
}

}  // namespace tecc::autotune
