#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "codegen/build.h"
#include "compiler/memory/lifetime.h"
#include "compiler/memory/place.h"
#include "ir/base/files.h"
#include "ir/loop/affine.h"
#include "python_free_cli/options.h"

namespace tecc::cli {
namespace {

struct Options : Input {
  std::string out;
  std::int64_t capacity = 0;
  double seconds = 30;
};

/// Lifetimes of the intermediate tensors of an expression: one time step a kernel.
std::vector<Lifetime> lifetimes_of(const loop::Program& p) {
  std::vector<Lifetime> out;
  std::map<TensorId, std::size_t> known;
  for (std::size_t k = 0; k < p.kernels.size(); ++k)
    for (loop::BlockId b : loop::blocks_under(p, p.kernels[k])) {
      const auto touch = [&](TensorId t) {
        if (p[t].role != loop::Role::workspace) return;
        const auto [at, fresh] = known.emplace(t, out.size());
        if (fresh) {
          std::int64_t bytes = bytes_of(p[t].type);
          for (const Expr& e : p[t].shape) bytes *= loop::largest(p, e);
          out.push_back({p[t].name, static_cast<std::int64_t>(k), 0, bytes, 256});
        }
        out[at->second].upper = static_cast<std::int64_t>(k) + 1;
      };
      for (TensorId t : loop::read_buffers(p.block(b))) touch(t);
      for (const loop::Write& w : p.block(b).writes) touch(w.buffer);
    }
  return out;
}

int run(const Options& o) {
  std::vector<Lifetime> lifetimes;
  if (o.path.ends_with(".csv")) {
    auto read = read_lifetimes(o.path);
    if (!read) return fail(read.error(), o);
    lifetimes = *std::move(read);
  } else {
    const auto loaded = load(o);
    if (!loaded) return 1;
    lifetimes = lifetimes_of(loaded->workload.naive);
  }
  PlaceOptions options;
  if (o.capacity) options.capacity = o.capacity;
  options.seconds = o.seconds;
  const Placement placed = place(lifetimes, options);
  const std::int64_t bound = lower_bound(lifetimes);
  if (o.capacity && placed.height > o.capacity) return fail(refuse(Code::over_capacity, placed.height, o.capacity, bound), o);
  const std::string csv = print_placed(lifetimes, placed.offsets);
  if (!o.out.empty()) {
    const std::filesystem::path path(o.out);
    if (Check done = write_files(path.has_parent_path() ? path.parent_path().string() : ".", {{path.filename().string(), csv}}); !done) return fail(done.error(), o);
  }
  if (o.json) {
    nlohmann::ordered_json j;
    j["peak"] = placed.height;
    j["lower_bound"] = bound;
    j["optimal"] = placed.optimal;
    j["buffers"] = nlohmann::ordered_json::array();
    for (std::size_t n = 0; n < lifetimes.size(); ++n)
      j["buffers"].push_back({{"id", lifetimes[n].id}, {"lower", lifetimes[n].lower}, {"upper", lifetimes[n].upper}, {"size", lifetimes[n].size}, {"offset", placed.offsets[n]}});
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  if (o.out.empty()) fmt::print("{}", csv);
  fmt::print(stderr, "{} buffers, peak {} bytes, lower bound {} bytes ({:.3f} % above){}\n", lifetimes.size(), placed.height, bound,
             bound ? 100.0 * static_cast<double>(placed.height - bound) / static_cast<double>(bound) : 0.0, placed.optimal ? ", optimal" : "");
  return 0;
}

}  // namespace

std::function<int()> add_plan(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_input(app, *o, false);
  app.add_option("--capacity", o->capacity, "bytes that must suffice");
  app.add_option("--seconds", o->seconds, "time for the exact search");
  app.add_option("-o,--out", o->out, "write the CSV with its offset column here");
  return [o] { return run(*o); };
}

}  // namespace tecc::cli
