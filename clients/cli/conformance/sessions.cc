// The requirements of proto/PROTOCOL.md that concern sessions, each as a story.

#include <algorithm>
#include <array>
#include <string>

#include "absl/time/clock.h"
#include "clients/cli/conformance/trial.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

// Long enough that a client which does the wrong thing does it.
constexpr absl::Duration kMoment = absl::Milliseconds(300);

bool IsId(std::string_view id) {
  return id.size() == 32 && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

void OffersHiddenPrivateFifos(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  const auto offer = trial.AwaitOffer();
  if (!trial.status().ok()) return;
  trial.Require(IsId(offer.id), "the id is not 32 lower-case hex digits");
  trial.Require(offer.down_mode == 0600 && offer.up_mode == 0600,
                "the pair is not two FIFOs of mode 0600");
  for (const char* end : {"down", "up"}) {
    const std::string made = fmt::format("create .{}.{}\n", offer.id, end);
    trial.Require(offer.events.find(made) != std::string::npos,
                  "the FIFOs are not made under their names with the dot");
  }
}

void SaysHelloBeforeItIsSeen(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  trial.TakeOffer(trial.AwaitOffer());
  const pb::Frame frame = trial.Read();
  if (!trial.status().ok()) return;
  trial.Require(frame.has_hello(), "its first frame is not Hello");
  trial.Require(frame.hello().protocol_version() == kProtocolVersion,
                "Hello names another version");
  trial.Require(trial.session().frame().size() <= 4096,
                "Hello is larger than 4,096 bytes");
}

void NamesDownFirst(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  const auto offer = trial.AwaitOffer();
  if (!trial.status().ok()) return;
  const size_t down =
      offer.events.find(fmt::format("move {}.down\n", offer.id));
  const size_t up = offer.events.find(fmt::format("move {}.up\n", offer.id));
  trial.Require(down < up && up != std::string::npos,
                "`up` has its name before `down` has");
}

void WaitsForABroker(Trial& trial) {
  trial.Run("sub", "conformance/**");
  trial.ExpectRunningFor(kMoment);
  trial.Live();
  (void)trial.Greet();
  trial.Welcome();
  (void)trial.Subscribed();
}

void BearsAnEarlyEnd(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  const auto offer = trial.AwaitOffer();
  trial.ExpectRunningFor(kMoment);
  trial.TakeOffer(offer);
  (void)trial.Read();
  trial.Welcome();
  (void)trial.Subscribed();
}

void WaitsForWelcome(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  (void)trial.Greet();
  trial.ExpectSilence(kMoment);
  trial.Welcome();
  (void)trial.Subscribed();
}

void ClosesItsReadingEndOfUp(Trial& trial) {
  trial.RunSubscriber();
  trial.CloseUp();
  if (!trial.status().ok()) return;
  trial.Require(!trial.session().ClientReadsUp(),
                "it still holds a reading end of `up`");
}

void AsksWithAnId(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  (void)trial.Greet();
  trial.Welcome();
  const pb::Subscribe subscribe = trial.Subscribed();
  if (!trial.status().ok()) return;
  trial.Require(subscribe.pattern() == "conformance/**",
                "it subscribes to something else");
  trial.Require(subscribe.request_id() != 0, "the request has no id");
}

void ReadsFramesInPieces(Trial& trial) {
  trial.RunSubscriber();
  for (const char byte : MessageFrame("one byte after the other")) {
    trial.Write(std::string_view(&byte, 1));
  }
  trial.ExpectOutput("one byte after the other\n");
  std::string many;
  std::string printed;
  for (int i = 0; i < 1000; ++i) {
    const std::string payload = fmt::format("number {}", i);
    many += MessageFrame(payload);
    printed += payload + "\n";
  }
  trial.Write(many);
  trial.ExpectOutput(printed);
}

void PassesOverUnknownFields(Trial& trial) {
  trial.RunSubscriber();
  pb::Frame frame;
  frame.mutable_message()->set_topic(kPlayedTopic.data(), kPlayedTopic.size());
  frame.mutable_message()->set_payload("known");
  auto* unknown = frame.message().GetReflection()->MutableUnknownFields(
      frame.mutable_message());
  unknown->AddVarint(500, 7);
  unknown->AddLengthDelimited(501, "new");
  unknown->AddFixed32(502, 1);
  unknown->AddFixed64(503, 1);
  trial.Write(frame);
  pb::Frame gap;
  gap.mutable_gap()->set_reason(pb::Gap::REASON_OVERFLOW);
  gap.mutable_gap()->set_messages(1);
  gap.gap()
      .GetReflection()
      ->MutableUnknownFields(gap.mutable_gap())
      ->AddVarint(500, 7);
  trial.Write(gap);
  trial.Write(MessageFrame("after"));
  trial.ExpectOutput("known\nafter\n");
}

void PassesOverUnknownFrames(Trial& trial) {
  trial.RunSubscriber();
  trial.Write(MessageFrame("before"));
  // Member 21 without a field, and 31 with one of three bytes.
  trial.Write(std::string_view("\0\0\0\3\xaa\1\0", 7));
  trial.Write(std::string_view("\0\0\0\x8\xfa\1\5\x0a\3new", 12));
  trial.Write(MessageFrame("after"));
  trial.ExpectOutput("before\nafter\n");
}

void TakesAnyBytes(Trial& trial) {
  trial.RunSubscriber();
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  trial.Write(MessageFrame(all));
  trial.Write(MessageFrame(""));
  const std::string large(size_t{3} << 20, 'x');
  trial.Write(MessageFrame(large));
  trial.ExpectOutput(all + "\n\n" + large + "\n");
}

void GoesOnAfterDeliveryAndGap(Trial& trial) {
  trial.RunSubscriber();
  DeliveryView delivery;
  delivery.retained = true;
  std::string frames;
  AppendDeliveryFrame(delivery, frames);
  trial.Write(frames + MessageFrame("retained"));
  pb::Frame gap;
  gap.mutable_gap()->set_reason(pb::Gap::REASON_OVERFLOW);
  gap.mutable_gap()->set_messages(5);
  gap.mutable_gap()->add_losses()->set_topic(kPlayedTopic.data(),
                                             kPlayedTopic.size());
  gap.mutable_gap()->mutable_losses(0)->set_messages(5);
  trial.Write(gap);
  trial.Write(MessageFrame("after the gap"));
  trial.ExpectOutput("retained\nafter the gap\n");
}

void ReadsToTheEndAfterGoodbye(Trial& trial) {
  trial.RunSubscriber();
  pb::Frame goodbye;
  goodbye.mutable_goodbye()->set_reason("conformance");
  trial.Write(goodbye);
  trial.ExpectEnd();
  trial.Write(MessageFrame("late"));
  trial.ExpectOutput("late\n");
}

void ComesBackAndSubscribesAnew(Trial& trial) {
  trial.RunSubscriber();
  trial.Write(MessageFrame("before"));
  trial.ExpectOutput("before\n");
  trial.Die();
  trial.ExpectRunningFor(kMoment);
  trial.Live();
  (void)trial.Greet();
  trial.Welcome();
  const pb::Subscribe subscribe = trial.Subscribed();
  trial.Write(MessageFrame("after"));
  trial.ExpectOutput("after\n");
  trial.Require(!trial.status().ok() || subscribe.pattern() == "conformance/**",
                "it subscribes to something else");
}

void FailsWhenItsSessionIsEnded(Trial& trial) {
  trial.RunSubscriber();
  pb::Frame error;
  error.mutable_error()->set_code(pb::Error::CODE_BAD_FRAME);
  error.mutable_error()->set_text("conformance: as if it had broken a rule");
  trial.Write(error);
  trial.ExpectFailureExit();
}

void FailsWhenItsPatternIsRefused(Trial& trial) {
  trial.Live();
  trial.Run("sub", "conformance/**");
  (void)trial.Greet();
  trial.Welcome();
  const pb::Frame subscribe = trial.Read();
  pb::Frame error;
  error.mutable_error()->set_code(pb::Error::CODE_LIMIT);
  error.mutable_error()->set_text("conformance: as if it had too many");
  error.mutable_error()->set_request_id(subscribe.subscribe().request_id());
  trial.Write(error);
  trial.ExpectFailureExit();
}

std::string ExpiringFrame(std::string_view payload, absl::Time expiry) {
  MessageFields fields;
  fields.topic = kPlayedTopic;
  fields.payload = payload;
  fields.expiry_unix_nanos = static_cast<uint64_t>(absl::ToUnixNanos(expiry));
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

void DropsWhatHasExpired(Trial& trial) {
  trial.RunSubscriber();
  const absl::Time now = absl::Now();
  trial.Write(ExpiringFrame("still good", now + absl::Hours(1)));
  trial.Write(ExpiringFrame("expired", now - absl::Seconds(1)));
  trial.Write(MessageFrame("never expires"));
  trial.ExpectOutput("still good\nnever expires\n");
}

void WritesAMessageForEachLine(Trial& trial) {
  trial.RunPublisher();
  for (const char* line : {"one", "", "\x01\xff three"}) {
    trial.Type(std::string(line) + "\n");
    const pb::Message message = trial.ReadMessage();
    if (!trial.status().ok()) return;
    trial.Require(message.topic() == kPlayedTopic, "it is of another topic");
    trial.Require(message.payload() == line, "the payload is not the line");
  }
}

void WaitsForAFullPipe(Trial& trial) {
  trial.RunPublisher();
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += fmt::format("{:08d}\n", i);
  trial.Type(lines);
  trial.CloseInput();
  // Meanwhile the pipe fills.
  trial.ExpectRunningFor(kMoment);
  for (int i = 0; i < 3000; ++i) {
    const pb::Message message = trial.ReadMessage();
    if (!trial.status().ok()) return;
    trial.Require(message.payload() == fmt::format("{:08d}", i),
                  "a message is missing, twice, or out of order");
  }
  trial.ExpectEnd();
  trial.Require(trial.AwaitExit() == 0, "it did not end with exit code 0");
}

void EndsWhenAllIsWritten(Trial& trial) {
  trial.RunPublisher();
  trial.Type("the only line");
  trial.CloseInput();
  const pb::Message message = trial.ReadMessage();
  trial.ExpectEnd();
  trial.Require(trial.AwaitExit() == 0, "it did not end with exit code 0");
  trial.Require(!trial.status().ok() || message.payload() == "the only line",
                "the payload is not the line");
}

void SurvivesTheBroker(Trial& trial) {
  trial.RunPublisher();
  trial.Type("one\n");
  (void)trial.ReadMessage();
  trial.Die();
  trial.Type("two\n");
  trial.ExpectRunningFor(kMoment);
  trial.Live();
  trial.Type("three\n");
  (void)trial.Greet();
  trial.Welcome();
  // Two may be lost with the dead.
  pb::Message message = trial.ReadMessage();
  if (message.payload() == "two") message = trial.ReadMessage();
  if (!trial.status().ok()) return;
  trial.Require(message.payload() == "three", "the payload is not the line");
  trial.CloseInput();
  trial.ExpectEnd();
  const int exit = trial.AwaitExit();
  trial.Require(exit == 0 || exit == 1,
                "it did not end with exit code 0, nor with 1 for the lines "
                "that may be lost");
}

void KnowsThatItWasRefused(Trial& trial) {
  trial.RunPublisher();
  trial.Type("one\n");
  (void)trial.ReadMessage();
  pb::Frame error;
  error.mutable_error()->set_code(pb::Error::CODE_DENIED);
  error.mutable_error()->set_text(
      "conformance: as if it may not publish there");
  trial.Write(error);
  trial.CloseUp();
  trial.Type("two\n");
  trial.CloseInput();
  trial.ExpectFailureExit();
}

void RefusesABadTopic(Trial& trial) {
  trial.Live();
  trial.Run("pub", "sensors/k\xc3\xbc\x63he");
  trial.Type("a line\n");
  trial.CloseInput();
  // Whether it finds that out before or after Hello is its own affair.
  trial.WelcomeIfItComes();
  trial.ExpectFailureExit();
}

void KeepsToTheFrameLimit(Trial& trial) {
  trial.Live();
  trial.Run("pub", kPlayedTopic);
  (void)trial.Greet();
  trial.Welcome(/*frame_bytes_max=*/1024);
  trial.Type("short\n");
  (void)trial.ReadMessage();
  trial.Type(std::string(2000, 'x') + "\n");
  trial.CloseInput();
  trial.ExpectEnd();
  trial.ExpectFailureExit();
}

constexpr Requirement kRequirements[] = {
    {"H1", "the pair of FIFOs is made under dot names with mode 0600",
     OffersHiddenPrivateFifos},
    {"H2", "Hello is in `up` before it is seen", SaysHelloBeforeItIsSeen},
    {"H3", "`down` gets its name before `up`", NamesDownFirst},
    {"H4", "a broker that is not there yet is waited for", WaitsForABroker},
    {"H5", "end-of-file before the broker has opened `down` says nothing",
     BearsAnEarlyEnd},
    {"H6", "nothing but Hello is written before Welcome", WaitsForWelcome},
    {"H7", "after Welcome it has no reading end of `up`",
     ClosesItsReadingEndOfUp},
    {"S1", "Subscribe has a request id", AsksWithAnId},
    {"S2", "frames come in pieces and in crowds", ReadsFramesInPieces},
    {"S3", "unknown fields are passed over", PassesOverUnknownFields},
    {"S4", "payloads are any bytes, none and 3 MiB", TakesAnyBytes},
    {"S5", "Delivery and Gap end nothing", GoesOnAfterDeliveryAndGap},
    {"S6", "after Goodbye `up` is closed and `down` read to its end",
     ReadsToTheEndAfterGoodbye},
    {"S7", "after the broker's death it comes back and subscribes anew",
     ComesBackAndSubscribesAnew},
    {"S8", "after Error it fails and does not come back",
     FailsWhenItsSessionIsEnded},
    {"S9", "a refused request fails", FailsWhenItsPatternIsRefused},
    {"S10", "what has expired is dropped", DropsWhatHasExpired},
    {"S11", "frames of unknown kinds are passed over", PassesOverUnknownFrames},
    {"P1", "each line is a Message, topic first", WritesAMessageForEachLine},
    {"P2", "a full pipe is waited for, and frames stay whole",
     WaitsForAFullPipe},
    {"P3", "it ends when all is written", EndsWhenAllIsWritten},
    {"P4", "it survives the broker's death and goes on with the next",
     SurvivesTheBroker},
    {"P5", "a bad topic is refused", RefusesABadTopic},
    {"P6", "no frame is larger than Welcome says", KeepsToTheFrameLimit},
    {"P7", "a publisher that was refused fails", KnowsThatItWasRefused},
};

}  // namespace

absl::Span<const Requirement> SessionRequirements() { return kRequirements; }

}  // namespace fifobus::cli
