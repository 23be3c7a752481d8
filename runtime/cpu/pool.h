#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tecc {

/// Threads that wait for tasks and are reused from call to call. Tasks are claimed one by one, so that uneven ones balance.
class Pool {
 public:
  /// `threads` counts the caller, which works too: Pool(1) starts none.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Runs fn(0) .. fn(tasks - 1), in any order, and returns when all are done. The first exception is thrown on, the tasks
  /// not yet begun are dropped. Calls from several threads take turns; a call from within a task runs serially.
  void run(std::int64_t tasks, const std::function<void(std::int64_t)>& fn);
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

 private:
  void work();   // claims tasks of the present job until none is left
  void serve();  // the life of a worker

  std::vector<std::thread> workers_;
  std::mutex turn_;   // held by the caller whose job runs
  std::mutex mutex_;  // guards what follows
  std::condition_variable start_, done_;
  std::uint64_t job_ = 0;  // counts jobs, so that a worker knows a new one
  int busy_ = 0;           // workers that have not finished the present job
  bool stopping_ = false;
  const std::function<void(std::int64_t)>* fn_ = nullptr;
  std::int64_t tasks_ = 0;
  std::exception_ptr failure_;
  alignas(64) std::atomic<std::int64_t> next_{0};  // a cache line of its own: every claim writes it
};

/// TECC_THREADS where it is a number of at least 1, else the hardware threads this process may use.
int thread_count();
/// A pool of thread_count() threads, started at the first call.
Pool& shared_pool();
/// shared_pool().run(tasks, fn)
void run_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& fn);

}  // namespace tecc
