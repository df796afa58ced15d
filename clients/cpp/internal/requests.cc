#include "clients/cpp/internal/requests.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "fmt/format.h"

namespace fifobus {
namespace {

// "_inbox/" and 128 random bits, so that nobody guesses or meets it.
std::string NewInbox() {
  std::array<uint64_t, 2> bits = {};
  // Never short for so few bytes: getrandom(2).
  (void)!getrandom(bits.data(), sizeof(bits), 0);
  return fmt::format("_inbox/{:016x}{:016x}/", bits[0], bits[1]);
}

}  // namespace

std::string Requests::Pattern() {
  if (inbox_.empty()) inbox_ = NewInbox();
  return inbox_ + "*";
}

std::string Requests::ReplyTopic(uint64_t id) const {
  return fmt::format("{}{}", inbox_, id);
}

void Requests::Add(uint64_t id, Deadline deadline, uint64_t session) {
  open_[id] = {deadline, session};
  deadlines_.insert({deadline, id});
}

void Requests::Forget(uint64_t id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  deadlines_.erase({found->second.deadline, id});
  open_.erase(found);
}

void Requests::Move(uint64_t id, uint64_t session) {
  const auto found = open_.find(id);
  if (found != open_.end()) found->second.session = session;
}

void Requests::Fail(uint64_t id, ReplyOutcome outcome) {
  Forget(id);
  failures_.push_back({id, outcome});
}

void Requests::OnConfirm(uint64_t id, uint32_t sessions) {
  if (sessions == 0 && IsOpen(id)) Fail(id, ReplyOutcome::kNoResponders);
}

void Requests::OnSessionBegun(uint64_t session) {
  // Ids grow with time, so the oldest sessions come first.
  while (!open_.empty() && open_.begin()->second.session < session) {
    Fail(open_.begin()->first, ReplyOutcome::kUnknown);
  }
}

void Requests::Expire(Deadline now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Fail(deadlines_.begin()->second, ReplyOutcome::kTimedOut);
  }
}

std::optional<uint64_t> Requests::OpenIdOf(std::string_view topic) const {
  const char* const end = topic.data() + topic.size();
  uint64_t id = 0;
  const auto read = std::from_chars(topic.data() + inbox_.size(), end, id);
  if (read.ec != std::errc() || read.ptr != end || !IsOpen(id)) {
    return std::nullopt;
  }
  return id;
}

std::optional<uint64_t> Requests::TakeAnswered(std::string_view topic) {
  const std::optional<uint64_t> id = OpenIdOf(topic);
  if (id) Forget(*id);
  return id;
}

std::optional<Requests::Failure> Requests::TakeFailure() {
  if (failures_.empty()) return std::nullopt;
  const Failure failure = failures_.front();
  failures_.pop_front();
  return failure;
}

std::optional<Requests::Failure> Requests::TakeFailureOf(uint64_t id) {
  const auto found =
      std::find_if(failures_.begin(), failures_.end(),
                   [id](const Failure& failure) { return failure.id == id; });
  if (found == failures_.end()) return std::nullopt;
  const Failure failure = *found;
  failures_.erase(found);
  return failure;
}

void Requests::OnReadAhead(const MessageView& message) {
  if (awaited_ == 0 || !IsOpen(awaited_) ||
      message.topic != ReplyTopic(awaited_))
    return;
  Forget(awaited_);
  answer_ = OwnedMessage(message);
}

std::optional<OwnedMessage> Requests::TakeAwaited() {
  awaited_ = 0;
  return std::exchange(answer_, std::nullopt);
}

}  // namespace fifobus
