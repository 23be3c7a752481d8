#include "autotune/record/neighbours.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "autotune/record/workload.h"

namespace tecc::autotune {
namespace {

constexpr std::size_t of_each = 4;  // candidates of one size: the next ones are much like them

/// "M=4096,N=1..64:8 T=bf16": the dims by name and the words of the types.
struct Sizes {
  std::map<std::string, double> dims;  // log2 of the largest value
  std::string types;
  static std::optional<Sizes> of(const std::string& text) {
    Sizes out;
    const std::size_t space = text.find(' ');
    const auto dims = te::parse_dims(text.substr(0, space));
    if (!dims) return std::nullopt;
    for (const auto& [name, r] : *dims) out.dims[name] = std::log2(std::max<double>(1, static_cast<double>(r.max)));
    if (space != std::string::npos) out.types = text.substr(space + 1);
    return out;
  }
  std::optional<double> distance(const Sizes& other) const {
    if (types != other.types || dims.size() != other.dims.size()) return std::nullopt;
    double sum = 0;
    for (const auto& [name, size] : dims) {
      const auto it = other.dims.find(name);
      if (it == other.dims.end()) return std::nullopt;
      sum += std::abs(size - it->second);
    }
    return sum;
  }
};

}  // namespace

Result<std::vector<Genome>> neighbours(const Database& records, const codegen::Workload& w, const codegen::Target& t, std::size_t count) {
  std::vector<Genome> out;
  const auto own = Sizes::of(dims_text(w));
  if (!own) return out;
  const std::string expression = te::print(w.kernel);
  TECC_TRY(const std::vector<Database::Task> tasks, records.tasks());
  std::vector<std::pair<double, std::string>> near;  // distance, workload
  for (const Database::Task& task : tasks) {
    if (task.workload == w.hash || task.target != fingerprint(t) || task.kernel != w.kernel.name) continue;
    const auto sizes = Sizes::of(task.dims);
    if (const auto distance = sizes ? own->distance(*sizes) : std::nullopt) near.emplace_back(*distance, task.workload);
  }
  std::sort(near.begin(), near.end());
  for (const auto& [distance, workload] : near) {
    TECC_TRY(const std::vector<Database::Best> ranked, records.ranking(workload, fingerprint(t)));
    for (std::size_t n = 0; n < std::min(of_each, ranked.size()) && out.size() < count; ++n)
      if (ranked[n].record.expression == expression) out.push_back(ranked[n].record.genome);
    if (out.size() == count) break;
  }
  return out;
}

}  // namespace tecc::autotune
