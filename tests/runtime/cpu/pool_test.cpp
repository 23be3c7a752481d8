#include "runtime/cpu/pool.h"

#include <cstdlib>
#include <set>
#include <stdexcept>

#include "tests/support/catch.h"

namespace tecc {
namespace {

TEST_CASE("pool: every task once, whatever the number of threads and tasks") {
  for (const int threads : {1, 2, 5}) {
    Pool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(tasks));
      pool.run(tasks, [&](std::int64_t i) { ++seen[static_cast<std::size_t>(i)]; });
      for (const auto& n : seen) REQUIRE(n == 1);
    }
  }
}

TEST_CASE("pool: threads are reused over many short jobs") {
  Pool pool(4);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  std::atomic<int> sum{0};
  for (int job = 0; job < 2000; ++job)
    pool.run(8, [&](std::int64_t) {
      ++sum;
      const std::lock_guard lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
  CHECK(sum == 16000);
  CHECK(ids.size() <= 4);
}

TEST_CASE("pool: nested calls and calls from several threads") {
  Pool pool(3);
  std::atomic<int> sum{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int job = 0; job < 50; ++job) pool.run(5, [&](std::int64_t) { pool.run(3, [&](std::int64_t) { ++sum; }); });
    });
  for (std::thread& t : callers) t.join();
  CHECK(sum == 4 * 50 * 5 * 3);
}

TEST_CASE("pool: the first exception comes out and the pool lives on") {
  Pool pool(3);
  CHECK_THROWS_WITH(pool.run(100,
                             [](std::int64_t i) {
                               if (i == 10) throw std::runtime_error("task 10");
                             }),
                    "task 10");
  std::atomic<int> sum{0};
  pool.run(10, [&](std::int64_t) { ++sum; });
  CHECK(sum == 10);
}

TEST_CASE("pool: TECC_THREADS") {
  const char* old = std::getenv("TECC_THREADS");
  const std::string kept = old ? old : "";
  ::setenv("TECC_THREADS", "3", 1);
  CHECK(thread_count() == 3);
  ::setenv("TECC_THREADS", "none", 1);
  CHECK(thread_count() >= 1);
  if (old) ::setenv("TECC_THREADS", kept.c_str(), 1);
  else ::unsetenv("TECC_THREADS");
}

}  // namespace
}  // namespace tecc
