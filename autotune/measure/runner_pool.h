#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "autotune/measure/runner.h"

namespace tecc::autotune {

/// A runner for each of several devices that are alike, side by side; one device is the usual case. Each has a thread of its own that
/// lives as long as the pool, since a runner process dies with the thread that started it. Candidates go to whichever device is free.
///
/// A device is lost when its runner died or hung and cannot be prepared again. It is dropped, and its candidate goes to another device,
/// once: a candidate under which a second device is lost is to blame itself.
class RunnerPool {
 public:
  /// `prepare`: one message a device, with "device", its number. `what`: the workload's name, for messages.
  RunnerPool(const MeasureOptions& options, const std::vector<Message>& prepare, const std::string& what);
  ~RunnerPool();  // what is being timed ends, what waits is dropped
  RunnerPool(const RunnerPool&) = delete;

  /// Prepares all at once. Those that cannot be are lost; a refusal (E0528, of several devices E0535) when none is left.
  Check ready();
  /// Of the first that was prepared.
  const std::string& device() const { return device_; }
  std::vector<Measurer::Unit> units() const;

  /// The time to beat from now on, see Measurer::measure; what is measured lowers it.
  void beat(std::optional<double> best_us);
  using Then = std::function<void(Result<Outcome>)>;
  /// Times a candidate as soon as a device is free. `then` is called once, from another thread: with a refusal when no device is left.
  void give(Message candidate, Fault fault, Then then);
  /// Drops what waits (its `then` is not called) and returns when nothing is being timed any more.
  void drain();
  /// On the first device that is left; on the next where that one is lost meanwhile. Not beside give().
  Result<std::vector<Outcome>> finals(const std::vector<Message>& candidates, std::uint64_t seed);

 private:
  struct Job {
    Message candidate;
    Fault fault;
    Then then;
    bool passed_on = false;
  };
  struct Device {
    int ordinal;
    Runner runner;  // of this device's thread, while it has something to do
    std::thread thread;
    // Guarded by mutex_:
    std::string uuid;
    std::function<void()> call;  // to be done next, by this device's thread
    bool busy = false;
    std::int64_t measured = 0;
    std::optional<Refusal> lost;
  };

  void work(Device& d);
  void time(Device& d, Job job, std::unique_lock<std::mutex>& lock);
  void on(Device& d, std::function<void()> call);
  Check still_there(Device& d);
  void lose(Device& d, const Refusal& why);
  std::optional<Refusal> none_left() const;

  std::vector<std::unique_ptr<Device>> devices_;
  std::string device_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, idle_;  // there is work; a device has finished some
  std::deque<Job> waiting_;
  std::optional<double> best_us_;
  std::optional<Refusal> last_words_;  // of the device that was lost last
  bool ending_ = false;
};

}  // namespace tecc::autotune
