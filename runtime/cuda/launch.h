#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codegen/artifact.h"
#include "runtime/bind.h"
#include "runtime/cuda/driver.h"

namespace tecc::cuda {

/// One call of an artifact with everything bound: kernels, arguments, tensor maps, its own workspaces and constants. To be
/// used on one stream at a time, since it owns one set of workspaces.
class Call {
 public:
  /// Enqueues: clears the workspaces that must start at zero and are not left so, then all launches in order.
  Check launch(const Stream& stream) const;
  /// For logs: "gemm grid 132 1 1 block 384 1 1 cluster 2 1 1 shared 230656".
  std::string text() const;

 private:
  friend class Artifact;
  struct Step {
    Function function;
    LaunchShape shape;
    bool empty = false;  // a grid with an extent of 0: nothing to do
    struct Argument {
      TensorMap map;      // or
      ScalarBits scalar;  // an address, too
      bool is_map = false;
    };
    std::vector<Argument> arguments;
  };
  static Check enqueue(const std::vector<Step>& steps, const Stream& stream);

  std::vector<Step> once_, steps_;
  std::vector<Memory> kept_;          // workspaces and constants
  std::vector<std::size_t> cleared_;  // those of kept_ to clear before every call
  std::vector<std::shared_ptr<const Module>> modules_;
};

/// An artifact on a device: its contract and, loaded when first needed, its modules. Not to be used from two threads at once.
class Artifact {
 public:
  /// Reads NAME.json. E0601, E0610.
  static Result<Artifact> load(const Device& device, const std::string& json_path);
  /// A contract and images that are not in files: `images` maps the contract's file names to bytes.
  static Artifact of(const Device& device, Contract contract, std::map<std::string, std::string> images);

  const Contract& contract() const { return contract_; }
  /// Picks the variant, loads its modules, encodes tensor maps, allocates zeroed workspaces, uploads constants, runs `once`.
  /// E0607 for a cubin of another chip; E0611, E0614-E0617; E0605, E0612.
  Result<Call> bind(const Binding& binding);

 private:
  Artifact(const Device& device, Contract contract) : device_(device), contract_(std::move(contract)) {}
  Result<std::string> file(const std::string& name) const;
  Result<std::shared_ptr<const Module>> module(const CudaLaunch& launch, ImageFit fit);
  Result<Call::Step> step(const CudaLaunch& launch, ImageFit fit, const Env& env, const Binding& binding, Call& call);

  Device device_;
  Contract contract_;
  std::string folder_;                                            // of the JSON file; empty for of()
  std::map<std::string, std::string> images_;                     // of of()
  std::map<std::string, std::shared_ptr<const Module>> modules_;  // by file
};

}  // namespace tecc::cuda
