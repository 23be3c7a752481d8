#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/bind.h"

namespace tecc {

/// The ABI of CPU code; see CpuLaunch in codegen/artifact.h.
using CpuFunction = std::int32_t (*)(void* const* buffers, const std::int64_t* dims, std::int64_t task);

/// Runs task 0 .. tasks - 1 in the shared pool. E0618 with the first task that gave another code than 0.
Check run_cpu(const std::string& symbol, CpuFunction function, void* const* buffers, const std::int64_t* dims,
              std::int64_t tasks);

/// A contract's CPU variant with everything bound: buffers, dims, scalars, its own zeroed workspaces and constants.
class CpuCall {
 public:
  /// Finds the code of a symbol in an object file (a JIT, or dlsym); null when there is none.
  using Lookup = std::function<CpuFunction(const CpuLaunch&)>;

  /// Runs the `once` launches too. `folder` is where the contract's files lie (constants). E0601 E0611-E0618.
  static Result<CpuCall> bind(const Contract& contract, const std::string& folder, const Binding& binding,
                              const Lookup& lookup);
  /// Clears the workspaces that must be, then runs all launches.
  Check run() const;

 private:
  struct Step {
    std::string symbol;
    CpuFunction function;
    std::int64_t tasks;
  };
  struct Room {  // aligned memory of a workspace or constant
    std::shared_ptr<unsigned char> data;
    std::int64_t bytes = 0;
    bool clear = false;
  };
  Check run(const std::vector<Step>& steps) const;

  std::vector<void*> buffers_;
  std::vector<std::int64_t> dims_;
  std::vector<Step> once_, steps_;
  std::vector<Room> rooms_;
  std::shared_ptr<std::vector<ScalarBits>> scalars_;  // buffers_ points into it
};

}  // namespace tecc
