#include "runtime/cpu/pool.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace tecc {
namespace {

thread_local bool inside_a_task = false;  // a nested run() would wait for itself

struct InsideATask {
  InsideATask() { inside_a_task = true; }
  ~InsideATask() { inside_a_task = false; }
};

}  // namespace

Pool::Pool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (std::thread& w : workers_) w.join();
}

void Pool::run(std::int64_t tasks, const std::function<void(std::int64_t)>& fn) {
  if (inside_a_task || workers_.empty() || tasks <= 1) {
    for (std::int64_t task = 0; task < tasks; ++task) fn(task);
    return;
  }
  const std::lock_guard turn(turn_);
  {
    const std::lock_guard lock(mutex_);
    fn_ = &fn;
    tasks_ = tasks;
    next_ = 0;
    failure_ = nullptr;
    busy_ = static_cast<int>(workers_.size());
    ++job_;
  }
  start_.notify_all();
  work();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return busy_ == 0; });  // a worker still looking at fn_ must not see the next job's
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Pool::work() {
  const InsideATask mark;
  for (std::int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) {
    try {
      (*fn_)(task);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = tasks_;
    }
  }
}

void Pool::serve() {
  for (std::uint64_t seen = 0;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stopping_ || job_ != seen; });
      if (stopping_) return;
      seen = job_;
    }
    work();
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

int thread_count() {
  if (const char* text = std::getenv("TECC_THREADS"))
    if (const int n = std::atoi(text); n >= 1) return n;
  cpu_set_t allowed;  // a container or taskset may allow fewer than the machine has
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0) return CPU_COUNT(&allowed);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Pool& shared_pool() {
  static Pool pool(thread_count());
  return pool;
}

void run_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& fn) { shared_pool().run(tasks, fn); }

}  // namespace tecc
