#include "autotune/measure/runner_pool.h"

#include <algorithm>

namespace tecc::autotune {

RunnerPool::RunnerPool(const MeasureOptions& options, const std::vector<Message>& prepare, const std::string& what) {
  for (const Message& m : prepare) devices_.push_back(std::make_unique<Device>(Device{m.value("device", 0), Runner(options, m, what), {}, {}, {}, false, 0, {}}));
  for (const auto& d : devices_) d->thread = std::thread([this, device = d.get()] { work(*device); });
}

RunnerPool::~RunnerPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_all();
  }
  for (const auto& d : devices_) d->thread.join();
}

void RunnerPool::work(Device& d) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return ending_ || d.call || (!d.lost && !waiting_.empty()); });
    if (ending_) return;
    d.busy = true;
    if (d.call) {
      lock.unlock();
      d.call();
      lock.lock();
      d.call = nullptr;
    } else {
      Job job = std::move(waiting_.front());
      waiting_.pop_front();
      time(d, std::move(job), lock);
    }
    d.busy = false;
    idle_.notify_all();
  }
}

void RunnerPool::time(Device& d, Job job, std::unique_lock<std::mutex>& lock) {
  const auto best_us = best_us_;
  lock.unlock();
  Result<Outcome> outcome = d.runner.time(job.candidate, best_us, job.fault);
  // A candidate that ended its runner may have met a device that was about to go: the next preparation tells.
  const Check there = outcome && std::holds_alternative<Failed>(*outcome) ? still_there(d) : outcome ? Check(Ok{}) : Check(outcome.error());
  lock.lock();
  std::vector<std::pair<Job, Result<Outcome>>> known;
  if (!there) lose(d, there.error());
  const auto none = none_left();
  if (!there && !none && !job.passed_on) {
    job.passed_on = true;
    waiting_.push_front(std::move(job));
    wake_.notify_all();
  } else {
    if (outcome) {
      ++d.measured;
      if (const auto* m = std::get_if<Measured>(&*outcome)) best_us_ = std::min(best_us_.value_or(median(m->us)), median(m->us));
    } else if (none) {
      outcome = *none;
    } else {  // the second device that was lost under it
      outcome = Outcome(failed(Phase::died, outcome.error()));
    }
    known.emplace_back(std::move(job), std::move(outcome));
  }
  if (none)
    for (; !waiting_.empty(); waiting_.pop_front()) known.emplace_back(std::move(waiting_.front()), *none);
  lock.unlock();
  for (auto& [one, result] : known) one.then(std::move(result));
  lock.lock();
}

Check RunnerPool::still_there(Device& d) { return d.runner.process().running() ? Check(Ok{}) : d.runner.ready(); }

void RunnerPool::lose(Device& d, const Refusal& why) {
  d.lost = why;
  last_words_ = devices_.size() == 1 ? why : refuse(Code::devices_lost, devices_.size(), d.ordinal, message(why));
}

std::optional<Refusal> RunnerPool::none_left() const {
  const bool any = std::any_of(devices_.begin(), devices_.end(), [](const auto& d) { return !d->lost; });
  return any ? std::nullopt : last_words_;
}

void RunnerPool::on(Device& d, std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  d.call = std::move(call);
  wake_.notify_all();
}

Check RunnerPool::ready() {
  std::vector<Check> made(devices_.size(), Ok{});
  for (std::size_t n = 0; n < devices_.size(); ++n) on(*devices_[n], [&, n] { made[n] = devices_[n]->runner.ready(); });
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return std::none_of(devices_.begin(), devices_.end(), [](const auto& d) { return d->busy || d->call; }); });
  for (std::size_t n = devices_.size(); n-- > 0;) {
    Device& d = *devices_[n];
    if (!made[n]) lose(d, made[n].error());
    else device_ = d.runner.device(), d.uuid = d.runner.uuid();
  }
  if (const auto none = none_left()) return *none;
  return Ok{};
}

std::vector<Measurer::Unit> RunnerPool::units() const {
  const std::lock_guard lock(mutex_);
  std::vector<Measurer::Unit> out;
  for (const auto& d : devices_) out.push_back({d->ordinal, d->uuid, d->measured, d->lost ? message(*d->lost) : ""});
  return out;
}

void RunnerPool::beat(std::optional<double> best_us) {
  const std::lock_guard lock(mutex_);
  best_us_ = best_us;
}

void RunnerPool::give(Message candidate, Fault fault, Then then) {
  std::unique_lock lock(mutex_);
  if (const auto none = none_left()) {
    lock.unlock();
    return then(*none);
  }
  waiting_.push_back({std::move(candidate), fault, std::move(then)});
  wake_.notify_all();
}

void RunnerPool::drain() {
  std::unique_lock lock(mutex_);
  waiting_.clear();
  idle_.wait(lock, [&] { return waiting_.empty() && std::none_of(devices_.begin(), devices_.end(), [](const auto& d) { return d->busy; }); });
}

Result<std::vector<Outcome>> RunnerPool::finals(const std::vector<Message>& candidates, std::uint64_t seed) {
  for (const auto& d : devices_) {
    std::optional<Result<std::vector<Outcome>>> result;
    Check there = Ok{};
    std::unique_lock lock(mutex_);
    if (d->lost) continue;
    d->call = [&] {
      result = d->runner.finals(candidates, seed);
      if (!*result) there = still_there(*d);
    };
    wake_.notify_all();
    idle_.wait(lock, [&] { return !d->call; });
    if (there) return *std::move(result);
    lose(*d, there.error());
  }
  const std::lock_guard lock(mutex_);
  return *none_left();
}

}  // namespace tecc::autotune
