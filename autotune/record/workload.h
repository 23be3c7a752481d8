#pragma once
#include "autotune/record/record.h"
#include "autotune/search/space.h"

/// Between a workload with its points and the records of them.
namespace tecc::autotune {

constexpr const char* tool_version = "0.1.0";

/// "M=4096,N=1..64:8 T=bf16", for readers of records and for workload_of().
std::string dims_text(const codegen::Workload& workload);

/// What became of a point, as a record of the search's first round; the caller sets round and seed where they matter.
Record record_of(const codegen::Workload& workload, const codegen::Target& target, const std::string& device, const Point& point,
                 const Outcome& outcome);

/// The workload that a record is about, from its expression and dims. E0530 where the record has no expression, or one that is
/// another workload's by its hash.
Result<codegen::Workload> workload_of(const Record& record);
/// The target that a fingerprint names: the known one of that architecture with that many SMs. E0414.
Result<codegen::Target> target_of(const std::string& fingerprint);
/// The point of a record: its schedule replayed and lowered by this version, so that the features are this version's. The
/// genome is the recorded one. E03xx, E04xx where the schedule does not apply any more.
Result<Point> point_of(const Record& record, const codegen::Workload& workload, const codegen::Target& target);

}  // namespace tecc::autotune
