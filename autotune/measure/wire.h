#pragma once
#include <nlohmann/json.hpp>
#include <optional>

#include "ir/base/errors.h"

/// Messages between `tecc tune` and its runner: a length of 8 bytes, then CBOR (JSON with bytes for images). One answer a question.
namespace tecc::autotune {

using Message = nlohmann::json;

/// Bytes as a CBOR string of bytes, and back.
Message pack(const std::string& bytes);
std::string unpack(const Message& packed);

/// E0521 when the other end is gone.
Check send(int fd, const Message& message);
/// Waits for at most `limit_ms` (none: for ever). E0520 on time out, E0521 at the end of the stream, E0522.
Result<Message> receive(int fd, std::optional<std::int64_t> limit_ms);

}  // namespace tecc::autotune
