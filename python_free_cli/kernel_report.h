#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "codegen/cuda/assembly.h"
#include "codegen/cuda/conflicts.h"
#include "codegen/cuda/cubin.h"
#include "codegen/target.h"

/// What `tecc explain` says of one kernel of an artifact.
namespace tecc::cli {

/// How often a kernel fits onto an SM, and why not more often.
struct Occupancy {
  std::int64_t blocks = 0;  // at once on one SM
  std::string bound;        // registers, shared memory, threads, blocks
};
Occupancy occupancy_of(const codegen::Target& t, std::int64_t threads, std::int64_t registers, std::int64_t shared_bytes);

struct KernelReport {
  std::string name;
  std::optional<CubinKernel> cubin;
  // Of the launch; absent where there is a cubin and nothing else.
  struct LaunchFacts {
    std::int64_t grid = 1, threads = 1, cluster = 1, shared_bytes = 0;
  };
  std::optional<LaunchFacts> launch;
  std::optional<Occupancy> occupancy;
  double waves = 0;
  // Machine code, or what stands in for it.
  std::string source;  // "SASS of cuobjdump", "PTX", "statements of the loop program", or empty
  std::optional<Assembly> assembly;
  std::optional<AssemblyLoop> loop;
  std::optional<std::vector<std::size_t>> statements;  // mix of the loop program
  // Of the program that the schedule beside the contract makes.
  std::optional<std::vector<codegen::cuda::SharedAccess>> shared;
};

/// Instructions whose opcode begins with one of the words; of the hot loop or of the whole kernel.
std::size_t count_opcodes(const KernelReport& k, const std::vector<std::string>& words, bool in_loop);
std::string text_of(const KernelReport& k, const codegen::Target* target);
nlohmann::ordered_json json_of(const KernelReport& k);

}  // namespace tecc::cli
