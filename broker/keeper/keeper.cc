#include "broker/keeper/keeper.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

// The exit code of wrong usage, which a configuration that has become bad is.
// Trying again would not mend it.
constexpr int kUsageExit = 2;
constexpr int kFailedExit = 1;

// How soon a folder topics/ that was removed is looked for. Not tuned.
constexpr absl::Duration kLookAgain = absl::Milliseconds(300);

std::string HowText(int how) {
  return how < 0 ? fmt::format("signal {}", -how)
                 : fmt::format("exit code {}", how);
}

}  // namespace

Keeper::Result Keeper::Run() {
  StartBroker();
  while (!result_) {
    Wait();
    TakeSignals();
    if (result_) break;
    if (broker_ && !is_ready_ && broker_->IsReady()) OnReady();
    FollowTaps();
    if (broker_) {
      if (const auto how = broker_->Poll()) OnEnd(*how);
    } else if (MonotonicNow() >= start_at_) {
      StartBroker();
    }
  }
  return *result_;
}

void Keeper::Wait() {
  std::array<pollfd, 3> polled = {
      {{signals_.get(), POLLIN, 0},
       {broker_ ? broker_->ready_fd() : -1, POLLIN, 0},
       {taps_ ? taps_->fd() : -1, POLLIN, 0}}};
  const absl::Duration timeout = Timeout();
  const timespec limit = absl::ToTimespec(timeout);
  (void)ppoll(polled.data(), polled.size(),
              timeout == absl::InfiniteDuration() ? nullptr : &limit, nullptr);
}

absl::Duration Keeper::Timeout() const {
  if (!broker_) {
    return std::max(absl::ZeroDuration(), start_at_ - MonotonicNow());
  }
  const bool lacks_taps = is_ready_ && (!taps_ || !taps_->IsCurrent());
  return lacks_taps ? kLookAgain : absl::InfiniteDuration();
}

void Keeper::OnReady() {
  is_ready_ = true;
  has_served_ = true;
  ready_at_ = MonotonicNow();
  failed_starts_ = 0;
  if (std::exchange(reload_owed_, false)) broker_->Signal(SIGHUP);
}

void Keeper::FollowTaps() {
  if (taps_) taps_->Update();
  if (!is_ready_ || (taps_ && taps_->IsCurrent())) return;
  auto taps = HeldTaps::Open(options_.dir, options_.taps_max);
  if (taps.ok()) {
    taps_ = *std::move(taps);
    said_no_taps_ = false;
  } else if (!std::exchange(said_no_taps_, true)) {
    LogWarning("the keeper cannot hold taps; they end when the broker dies",
               {{"reason", taps.status().message()}});
  }
}

void Keeper::TakeSignals() {
  signalfd_siginfo taken;
  while (!result_ &&
         read(signals_.get(), &taken, sizeof taken) == sizeof taken) {
    const int number = static_cast<int>(taken.ssi_signo);
    if (number != SIGCHLD) OnSignal(number);
  }
}

void Keeper::OnSignal(int number) {
  if (number == SIGUSR2) {
    PassOnUpgrade();
  } else if (number == SIGHUP && options_.reloads) {
    // A broker that starts may not expect it yet.
    if (is_ready_) {
      broker_->Signal(SIGHUP);
    } else {
      reload_owed_ = true;
    }
  } else if (!broker_) {
    CountUnread();
    LogInfo("stopping, while no broker runs", {{"signal", number}});
    result_ = Result{0, 0};
  } else if (stop_signal_ == 0) {
    stop_signal_ = number;
    broker_->Signal(number);
  } else {
    kill_signal_ = number;
    broker_->Signal(SIGKILL);
  }
}

// The broker stays the same process, so there is nothing to follow.
void Keeper::PassOnUpgrade() {
  if (broker_ && is_ready_) {
    broker_->Signal(SIGUSR2);
  } else {
    LogWarning("no upgrade: no broker serves now",
               {{"what_to_do", "send the signal again"}});
  }
}

void Keeper::OnEnd(int how) {
  // It may have said so just before.
  if (!is_ready_ && broker_->IsReady()) OnReady();
  const absl::Duration served =
      is_ready_ ? MonotonicNow() - ready_at_ : absl::ZeroDuration();
  const bool was_ready = std::exchange(is_ready_, false);
  broker_.reset();
  if (stop_signal_ != 0) {
    OnStopped(how);
  } else if (was_ready && how >= 0) {
    LogInfo("the broker was stopped, and is not started again",
            {{"exit_code", how}});
    result_ = Result{how, 0};
  } else if (was_ready) {
    RestartLater(how, served);
  } else {
    OnFailedStart(how);
  }
}

void Keeper::OnStopped(int how) {
  if (how >= 0) {
    result_ = Result{how, 0};
    return;
  }
  CountUnread();
  // One that did not take the signal as it had only begun, or was killed for
  // the second one.
  const int signal = how == -stop_signal_ ? stop_signal_ : kill_signal_;
  result_ = Result{kFailedExit, signal};
}

void Keeper::OnFailedStart(int how) {
  // No fault of its own.
  if (how != -SIGKILL) ++failed_starts_;
  if (how == kUsageExit || (how >= 0 && !has_served_)) {
    GiveUp(how, "the broker cannot start");
  } else if (failed_starts_ >= kFailedStartsMax) {
    GiveUp(std::max(how, kFailedExit), "the broker never starts");
  } else {
    RestartLater(how, absl::ZeroDuration());
  }
}

void Keeper::RestartLater(int how, absl::Duration served) {
  const absl::Duration delay = delay_.Next(served);
  ++restarts_;
  LogWarning("the broker died and is started again",
             {{"by", HowText(how)},
              {"served_ms", absl::ToInt64Milliseconds(served)},
              {"delay_ms", absl::ToInt64Milliseconds(delay)},
              {"restarts", restarts_}});
  start_at_ = MonotonicNow() + delay;
}

void Keeper::StartBroker() {
  auto broker = KeptBroker::Start(options_.broker, restarts_);
  if (broker.ok()) {
    broker_.emplace(*std::move(broker));
    return;
  }
  // The machine lacks processes or memory.
  LogError("the broker was not started",
           {{"reason", std::string(broker.status().message())}});
  if (++failed_starts_ >= kFailedStartsMax) {
    return GiveUp(kFailedExit, "the broker cannot be run");
  }
  start_at_ = MonotonicNow() + delay_.Next(absl::ZeroDuration());
}

void Keeper::GiveUp(int exit_code, const std::string& why) {
  CountUnread();
  LogError(
      fmt::format("{}, and is not tried again; its own lines say why", why),
      {{"exit_code", exit_code},
       {"failed_starts", failed_starts_},
       {"restarts", restarts_}});
  result_ = Result{exit_code, 0};
}

// What ends with the keeper, because no broker will read it.
void Keeper::CountUnread() {
  const size_t bytes = taps_ ? taps_->unread_bytes() : 0;
  if (bytes == 0) return;
  LogWarning("lines in taps were read by no broker", {{"bytes", bytes}});
}

}  // namespace fifobus
