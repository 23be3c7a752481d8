#include "autotune/measure/wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace tecc::autotune {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t longest = std::uint64_t{1} << 32;  // a length beyond this is no length

Refusal gone() { return refuse(Code::runner_died, "talking to it", "the connection is closed"); }

Check read_all(int fd, void* to, std::size_t bytes, std::optional<std::int64_t> limit_ms, Clock::time_point begin) {
  auto* at = static_cast<char*>(to);
  while (bytes) {
    int wait = -1;
    if (limit_ms) {
      const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
      if (spent >= *limit_ms) return refuse(Code::candidate_timeout, *limit_ms);
      wait = static_cast<int>(std::min<std::int64_t>(*limit_ms - spent, 1 << 30));
    }
    pollfd ready{fd, POLLIN, 0};
    const int n = ::poll(&ready, 1, wait);
    if (n < 0 && errno != EINTR) return gone();
    if (n <= 0) continue;
    const ssize_t got = ::read(fd, at, bytes);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) return gone();
    if (got < 0) continue;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return Ok{};
}

}  // namespace

Message pack(const std::string& bytes) { return Message::binary({bytes.begin(), bytes.end()}); }
std::string unpack(const Message& b) {
  const auto& bytes = b.get_binary();
  return {bytes.begin(), bytes.end()};
}

Check send(int fd, const Message& message) {
  const std::vector<std::uint8_t> body = Message::to_cbor(message);
  const std::uint64_t length = body.size();
  std::string all(reinterpret_cast<const char*>(&length), sizeof length);
  all.append(reinterpret_cast<const char*>(body.data()), body.size());
  for (std::size_t at = 0; at < all.size();) {
    const ssize_t n = ::send(fd, all.data() + at, all.size() - at, MSG_NOSIGNAL);  // a dead reader is no reason to die
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return gone();
    at += static_cast<std::size_t>(n);
  }
  return Ok{};
}

Result<Message> receive(int fd, std::optional<std::int64_t> limit_ms) {
  const auto begin = Clock::now();
  std::uint64_t length = 0;
  TECC_CHECK(read_all(fd, &length, sizeof length, limit_ms, begin));
  if (length > longest) return refuse(Code::runner_words, "a message of " + std::to_string(length) + " bytes");
  std::vector<std::uint8_t> body(length);
  TECC_CHECK(read_all(fd, body.data(), body.size(), limit_ms, begin));
  Message m = Message::from_cbor(body, true, false);
  if (m.is_discarded() || !m.is_object()) return refuse(Code::runner_words, "a message that is no CBOR object");
  return m;
}

}  // namespace tecc::autotune
