#include "autotune/search/choices.h"

#include <algorithm>

#include "ir/base/errors.h"

namespace tecc::autotune {

std::int64_t Chooser::choose(const std::string& name, std::vector<std::int64_t> options, std::int64_t preferred) {
  invariant(!options.empty(), "a choice without options");
  const auto offered = [&](std::int64_t v) { return std::find(options.begin(), options.end(), v) != options.end(); };
  std::optional<std::int64_t> value;
  for (const Choice& c : wanted_)
    if (c.name == name && offered(c.value)) value = c.value;
  if (!value && rng_) value = options[std::uniform_int_distribution<std::size_t>(0, options.size() - 1)(*rng_)];
  if (!value) {  // the nearest option to the preferred one
    value = options[0];
    for (std::int64_t o : options)
      if (std::abs(o - preferred) < std::abs(*value - preferred)) value = o;
  }
  made_.push_back({name, std::move(options), *value});
  if (log_) log_->push_back(made_.back());
  return *value;
}

}  // namespace tecc::autotune
