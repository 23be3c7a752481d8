#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "autotune/measure/inputs.h"
#include "runtime/cuda/time.h"

/// The runner's side: what `tecc __runner` does with its socket.
namespace tecc::autotune {

/// A device inside of the runner.
class Bench {
 public:
  virtual ~Bench() = default;
  struct Device {
    std::string name, uuid;  // for readers; to tell it from others, empty where there is one
  };
  /// Inputs and expected outputs.
  virtual Result<Device> prepare(const Message& task) = 0;
  /// A candidate, loaded and ready; it stays so as long as the value lives.
  class Loaded {
   public:
    virtual ~Loaded() = default;
    /// Runs once with poisoned outputs between guard zones. E0524 E0525 E0605. `corrupt`: an injected fault.
    virtual Check check(bool corrupt) = 0;
    virtual Result<cuda::Timed> time_us(int warmups, int runs) = 0;
  };
  virtual Result<std::unique_ptr<Loaded>> load(const Message& candidate) = 0;
  /// Several in turns, each warmed up before; `order` says whose turn it is, run by run. One result each.
  virtual Result<std::vector<cuda::Timed>> time_in_turns(std::span<Loaded* const> candidates, std::span<const std::size_t> order) = 0;
};
std::unique_ptr<Bench> cuda_bench();
std::unique_ptr<Bench> cpu_bench();

/// Answers questions until the socket closes.
int serve(int fd);

}  // namespace tecc::autotune
