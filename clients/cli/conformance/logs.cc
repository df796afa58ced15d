// The requirements of proto/PROTOCOL.md that concern logs, each as a story. What
// a client does not ask for it need not do: one that subscribes without a start
// and a durable name, or publishes without a name or a level, meets them by
// going on.

#include <string>
#include <string_view>

#include "clients/cli/conformance/trial.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus::cli {
namespace {

constexpr std::string_view kPattern = "conformance/**";
constexpr std::string_view kLog = "conformance";

// Where the log that is played here begins.
constexpr uint64_t kFirstOffset = 41;

// A message out of a log, whose payload is its offset.
std::string StoredFrames(uint64_t offset) {
  DeliveryView delivery;
  delivery.offset = offset;
  delivery.stored_time_unix_nanos = 1'800'000'000'000'000'000 + offset;
  std::string frames;
  AppendDeliveryFrame(delivery, frames);
  return frames + MessageFrame(std::to_string(offset));
}

pb::Frame CaughtUp(uint64_t request_id, uint64_t next_offset) {
  pb::Frame frame;
  frame.mutable_caught_up()->set_request_id(request_id);
  frame.mutable_caught_up()->set_next_offset(next_offset);
  return frame;
}

bool IsReader(const pb::Subscribe& subscribe) {
  return subscribe.has_start() || !subscribe.durable().empty();
}

// Its next session up to where Subscribed is due.
pb::Subscribe Greeted(Trial& trial) {
  (void)trial.Greet();
  trial.Welcome();
  const pb::Frame frame = trial.Read();
  trial.Require(!trial.status().ok() || frame.has_subscribe(),
                "it does not subscribe");
  return frame.subscribe();
}

void Answer(Trial& trial, const pb::Subscribe& subscribe,
            uint64_t next_offset) {
  pb::Frame frame;
  frame.mutable_subscribed()->set_request_id(subscribe.request_id());
  if (IsReader(subscribe)) {
    frame.mutable_subscribed()->set_log(kLog.data(), kLog.size());
    frame.mutable_subscribed()->set_next_offset(next_offset);
  }
  trial.Write(frame);
}

pb::Subscribe RunReader(Trial& trial) {
  trial.Live();
  trial.Run("sub", kPattern);
  const pb::Subscribe subscribe = Greeted(trial);
  Answer(trial, subscribe, kFirstOffset);
  return subscribe;
}

void TakesWhatALogHas(Trial& trial) {
  trial.RunSubscriber();
  for (const auto reason : {pb::Gap::REASON_TRIMMED, pb::Gap::REASON_DAMAGED}) {
    pb::Frame gap;
    gap.mutable_gap()->set_reason(reason);
    gap.mutable_gap()->set_messages(40);
    trial.Write(gap);
  }
  trial.Write(StoredFrames(kFirstOffset));
  // Of a request that it has not made, and so of no meaning.
  trial.Write(CaughtUp(UINT64_MAX, kFirstOffset + 1));
  trial.Write(MessageFrame("live") + StoredFrames(kFirstOffset + 1));
  trial.ExpectOutput("41\nlive\n42\n");
}

void GoesOnBehindTheLast(Trial& trial) {
  const pb::Subscribe first = RunReader(trial);
  if (!IsReader(first)) return;
  trial.Write(StoredFrames(kFirstOffset) + StoredFrames(kFirstOffset + 1));
  trial.ExpectOutput("41\n42\n");
  trial.Die();
  trial.Live();
  const pb::Subscribe next = Greeted(trial);
  if (!trial.status().ok()) return;
  trial.Require(next.pattern() == first.pattern() &&
                    next.durable() == first.durable() &&
                    next.group() == first.group(),
                "it subscribes to something else");
  if (!first.durable().empty()) return;
  trial.Require(next.start().offset() == kFirstOffset + 2,
                fmt::format("it does not go on at offset {} but at {}",
                            kFirstOffset + 2, next.start().offset()));
}

void SaysWhatIsDone(Trial& trial) {
  const pb::Subscribe subscribe = RunReader(trial);
  if (subscribe.durable().empty() || !subscribe.group().empty()) return;
  constexpr uint64_t kLast = kFirstOffset + 99;
  std::string stream;
  std::string printed;
  for (uint64_t offset = kFirstOffset; offset <= kLast; ++offset) {
    stream += StoredFrames(offset);
    printed += fmt::format("{}\n", offset);
  }
  trial.Write(stream);
  trial.ExpectOutput(printed);
  uint64_t done = 0;
  while (done < kLast && trial.status().ok()) {
    const pb::Frame frame = trial.Read();
    if (!trial.status().ok()) return;
    const pb::Ack& ack = frame.ack();
    trial.Require(frame.has_ack() &&
                      ack.subscription() == subscribe.request_id() &&
                      ack.ack_ids().empty(),
                  "it says something else than the position of its Subscribe");
    trial.Require(
        ack.up_to_offset() > done && ack.up_to_offset() <= kLast,
        fmt::format("it is done up to {}, after {}", ack.up_to_offset(), done));
    done = ack.up_to_offset();
  }
}

void CountsItsMessages(Trial& trial) {
  trial.Live();
  trial.Run("pub", kPlayedTopic);
  const std::string publisher = trial.Greet().hello().publisher();
  // What a log remembers of its name. A client without one passes over it.
  constexpr uint64_t kLastSequence = 300;
  pb::Frame welcome;
  welcome.mutable_welcome()->set_protocol_version(1);
  welcome.mutable_welcome()->set_frame_bytes_max(16 << 20);
  pb::Welcome::PublisherMark& mark =
      *welcome.mutable_welcome()->add_publisher_marks();
  mark.set_log(kLog.data(), kLog.size());
  mark.set_last_sequence(kLastSequence);
  mark.set_last_offset(kFirstOffset);
  trial.Write(welcome);
  uint64_t last = kLastSequence;
  for (const char* line : {"one", "two", "three"}) {
    trial.Type(std::string(line) + "\n");
    const pb::Message message = trial.ReadMessage();
    if (!trial.status().ok()) return;
    trial.Require(message.payload() == line, "the payload is not the line");
    if (publisher.empty()) continue;
    trial.Require(message.sequence() > last,
                  fmt::format("a message has the number {} after {}",
                              message.sequence(), last));
    last = message.sequence();
    if (message.confirm_id() == 0) continue;
    pb::Frame confirm;
    confirm.mutable_confirm()->set_confirm_id(message.confirm_id());
    confirm.mutable_confirm()->set_level(message.confirm_level());
    confirm.mutable_confirm()->set_offset(kFirstOffset + last);
    trial.Write(confirm);
  }
}

void FailsWhereALevelIsNotReached(Trial& trial) {
  trial.RunPublisher();
  trial.Type("the only line\n");
  const pb::Message message = trial.ReadMessage();
  if (message.confirm_level() <= pb::Confirm::LEVEL_ACCEPTED) return;
  pb::Frame confirm;
  confirm.mutable_confirm()->set_confirm_id(message.confirm_id());
  confirm.mutable_confirm()->set_level(pb::Confirm::LEVEL_ACCEPTED);
  confirm.mutable_confirm()->set_failure(pb::Confirm::FAILURE_NO_LOG);
  trial.Write(confirm);
  trial.CloseInput();
  trial.ExpectFailureExit();
}

constexpr Requirement kRequirements[] = {
    {"L1", "a message out of a log is a message", TakesWhatALogHas},
    {"L2", "after the broker's death it reads on behind the last message",
     GoesOnBehindTheLast},
    {"L3", "a durable reader says up to where it is done", SaysWhatIsDone},
    {"L4", "the numbers of a named publisher rise, from behind Welcome's marks",
     CountsItsMessages},
    {"L5", "a level that is not reached is a failure",
     FailsWhereALevelIsNotReached},
};

}  // namespace

absl::Span<const Requirement> LogRequirements() { return kRequirements; }

}  // namespace fifobus::cli
