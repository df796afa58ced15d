#include <memory>
#include <string>
#include <utility>

#include "clients/cli/bridge/retained_in.h"
#include "clients/cli/bridge/retained_out.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/bridge/map_fixture.h"

namespace fifobus::bridge {
namespace {

constexpr char kStored[] = R"({"stream":"V","seq":1})";
constexpr char kStream[] =
    R"({"config":{"subjects":["e1.>"],"max_msgs_per_subject":1},)"
    R"("state":{"last_seq":9}})";
constexpr std::string_view kInfo = "$JS.API.STREAM.INFO.V";

class RetainedMapsTest : public MapTest {
 protected:
  void Retain(std::string_view topic, std::string_view payload,
              std::string_view origin = "") {
    MessageFields fields;
    const HeaderView header = {"fifobus-origin", origin};
    fields.topic = topic;
    fields.payload = payload;
    fields.retain = true;
    if (!origin.empty()) fields.headers = {&header, 1};
    ASSERT_TRUE(publisher_->PublishConfirmed(fields).ok());
  }

  std::unique_ptr<RetainedOut> OpenOut(size_t window = 256) {
    MapConfig config;
    config.kind = MapKind::kRetainedOut;
    config.name = "out retained state/**";
    config.stream = "V";
    config.pattern = "state/**";
    config.names.subject_prefix = "e1";
    config.filter = "e1.state.>";
    config.window_messages = window;
    auto map =
        RetainedOut::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    (*map)->OnConnected(1 << 20);
    return *std::move(map);
  }

  std::unique_ptr<RetainedIn> OpenIn() {
    MapConfig config;
    config.kind = MapKind::kRetainedIn;
    config.name = "in retained V";
    config.stream = "V";
    config.filter = ">";
    config.names.subject_prefix = "e2";
    config.pattern = "**";
    auto map = RetainedIn::Open(around_, config, std::string(kInbox), options_);
    EXPECT_TRUE(map.ok()) << map.status();
    (*map)->OnConnected(1 << 20);
    return *std::move(map);
  }

  // Answers a round of an out map: the stream has values of these subjects.
  void AnswerRound(RetainedOut& map, const std::string& subjects) {
    AnswerNext(map, kInfo, kStream);
    AnswerNext(map, kInfo,
               fmt::format(R"({{"config":{{}},"state":{{"subjects":{{{}}}}}}})",
                           subjects));
  }
  void ExpectSent(RetainedOut& map, const std::string& subject,
                  const std::string& payload) {
    const NatsMessage sent = NextSent(map);
    EXPECT_EQ(sent.subject, subject);
    EXPECT_EQ(sent.payload, payload);
    EXPECT_EQ(sent.header("Fifobus-Origin"), "edge1");
    EXPECT_EQ(sent.header("Nats-Expected-Stream"), "V");
    Answer(map, sent, kStored);
  }

  // Begins a round of an in map. Returns the consumer's name.
  std::string BeginIn(RetainedIn& map) {
    NatsMessage asked = NextSent(map);
    if (asked.subject.starts_with("$JS.API.CONSUMER.DELETE.V.")) {
      asked = NextSent(map);
    }
    EXPECT_EQ(asked.subject, kInfo);
    Answer(map, asked, kStream);
    const NatsMessage make = NextSent(map);
    const std::string_view prefix = "$JS.API.CONSUMER.CREATE.V.";
    EXPECT_TRUE(make.subject.starts_with(prefix)) << make.subject;
    Answer(map, make, R"({"config":{},"num_pending":2})");
    return make.subject.substr(prefix.size());
  }
  static void Push(RetainedIn& map, const std::string& consumer, int number,
                   std::string subject, std::string payload,
                   const std::string& origin = "") {
    NatsMessage message;
    message.subject = std::move(subject);
    message.payload = std::move(payload);
    message.reply = fmt::format("$JS.ACK.V.{}.1.{}.{}.1000.0", consumer,
                                number + 100, number);
    if (!origin.empty()) message.headers = {{"Fifobus-Origin", origin}};
    map.OnNats("", std::move(message));
  }

  const std::unique_ptr<Client> publisher_ = bus_->Connect();
};

TEST_F(RetainedMapsTest, OutSendsWhatThereIsAndThenEachChange) {
  Retain("state/a", "1");
  const auto map = OpenOut();
  AnswerRound(*map, "");
  ExpectSent(*map, "e1.state.a", "1");
  Retain("state/a", "2");
  ExpectSent(*map, "e1.state.a", "2");
  Retain("state/a", "");
  ExpectSent(*map, "e1.state.a", "");
  EXPECT_EQ(map->counters().passed, 3U);
  EXPECT_EQ(map->counters().behind, 0U);
  EXPECT_EQ(map->trouble(), "");
}

TEST_F(RetainedMapsTest, OutClearsWhatTheBusHasNoMore) {
  Retain("state/a", "1");
  const auto map = OpenOut();
  AnswerRound(*map, R"("e1.state.a":1,"e1.state.gone":1)");
  ExpectSent(*map, "e1.state.a", "1");
  ExpectSent(*map, "e1.state.gone", "");
}

TEST_F(RetainedMapsTest, OutSendsNoMessageThatIsNoValueOrCameOverABridge) {
  Retain("state/foreign", "1", "edge2");
  ASSERT_EQ(publisher_->Publish("state/b", "not retained"),
            PublishOutcome::kSent);
  const auto map = OpenOut();
  // The stream's own value of a topic that another bridge has set since stays.
  AnswerRound(*map, R"("e1.state.foreign":1)");
  ASSERT_EQ(publisher_->Publish("state/b", "not retained"),
            PublishOutcome::kSent);
  Retain("state/foreign", "2", "edge2");
  Retain("state/a", "1");
  ExpectSent(*map, "e1.state.a", "1");
  EXPECT_TRUE(nats_.sent.empty());
  EXPECT_EQ(map->counters().returned, 2U);
}

TEST_F(RetainedMapsTest, OutSendsTheLastOfTheChangesOfAnOutage) {
  const auto map = OpenOut();
  AnswerRound(*map, "");
  map->OnDisconnected();
  for (const char* value : {"1", "2", "3"}) Retain("state/a", value);
  ASSERT_TRUE(Work(*map, [&] { return map->counters().behind == 1; }));
  map->OnConnected(1 << 20);
  // It is known since the first round that both sides agree.
  AnswerNext(*map, kInfo, kStream);
  ExpectSent(*map, "e1.state.a", "3");
  EXPECT_TRUE(nats_.sent.empty());
}

TEST_F(RetainedMapsTest, OutSaysWhatItWaitsForAndSetsAsideWhatIsTooLarge) {
  const auto map = OpenOut();
  AnswerNext(*map, kInfo,
             R"({"error":{"code":404,"description":"stream not found"}})");
  EXPECT_EQ(map->trouble(),
            "stream V: stream not found; make it, or set create = true");
  AnswerNext(*map, kInfo, R"({"config":{"subjects":["x"]},"state":{}})");
  EXPECT_EQ(map->trouble(),
            "stream V does not take all subjects e1.state.>; it takes x");
  map->OnConnected(10000);
  nats_.sent.pop_front();
  map->OnConnected(10000);
  AnswerRound(*map, "");
  const auto dead = bus_->Subscribe("bridge/dead");
  Retain("state/large", std::string(20000, 'x'));
  ASSERT_TRUE(Work(*map, [&] { return map->counters().set_aside == 1; }));
  EXPECT_EQ(NextOnBus(*dead).payload.size(), 20000U);
}

TEST_F(RetainedMapsTest, InMakesValuesRetainedAndClearsThem) {
  const auto map = OpenIn();
  const std::string consumer = BeginIn(*map);
  EXPECT_EQ(map->counters().behind, 2U);
  const auto reader = bus_->Subscribe("**");
  Push(*map, consumer, 1, "e2.state.a", "1", "edge2");
  const OwnedMessage value = NextOnBus(*reader);
  EXPECT_EQ(value.topic, "state/a");
  EXPECT_TRUE(value.retain);
  EXPECT_EQ(HeaderOf(value, "fifobus-origin"), "edge2");
  Push(*map, consumer, 2, "e2.state.a", "", "edge2");
  EXPECT_EQ(NextOnBus(*reader).payload, "");
  EXPECT_EQ(bus_->Count("topics_retained"), 0U);
  // Its own, which another bridge has not brought.
  Push(*map, consumer, 3, "e2.state.own", "1", "edge1");
  EXPECT_EQ(map->counters().returned, 1U);
  EXPECT_EQ(map->counters().passed, 2U);
}

TEST_F(RetainedMapsTest, InBeginsAnewWhenAValueIsMissing) {
  const auto map = OpenIn();
  const std::string first = BeginIn(*map);
  Push(*map, first, 1, "e2.state.a", "1");
  Push(*map, first, 3, "e2.state.c", "1");
  const std::string second = BeginIn(*map);
  EXPECT_NE(first, second);
  // What the consumer before still sends is passed over.
  Push(*map, first, 4, "e2.state.a", "old");
  Push(*map, second, 1, "e2.state.b", "1");
  EXPECT_EQ(map->counters().passed, 2U);
  // A sign of life that counts more than has come.
  NatsMessage alive;
  alive.headers = {{"Status", "100"}, {"Nats-Last-Consumer", "2"}};
  map->OnNats("", alive);
  EXPECT_NE(BeginIn(*map), second);
}

TEST_F(RetainedMapsTest, InAnswersFlowControl) {
  const auto map = OpenIn();
  BeginIn(*map);
  NatsMessage control;
  control.headers = {{"Status", "100"}};
  control.reply = "$JS.FC.V.x";
  map->OnNats("", control);
  EXPECT_EQ(NextSent(*map).subject, "$JS.FC.V.x");
}

TEST_F(RetainedMapsTest, InBringsAllValuesToTheNextBroker) {
  const auto map = OpenIn();
  const std::string first = BeginIn(*map);
  Push(*map, first, 1, "e2.state.a", "1");
  ASSERT_TRUE(Work(*map, [&] { return bus_->Count("topics_retained") == 1; }));
  bus_->Restart();
  EXPECT_NE(BeginIn(*map), first);
}

TEST_F(RetainedMapsTest, InSetsASubjectAsideThatIsNoTopic) {
  const auto map = OpenIn();
  const std::string consumer = BeginIn(*map);
  const auto dead = bus_->Subscribe("bridge/dead");
  Push(*map, consumer, 1, "e2.no#topic", "1");
  Push(*map, consumer, 2, "elsewhere", "2");
  EXPECT_EQ(NextOnBus(*dead).payload, "1");
  EXPECT_EQ(NextOnBus(*dead).payload, "2");
  EXPECT_EQ(dead_letters_.counts("in retained V").at("no-topic"), 2U);
}

}  // namespace
}  // namespace fifobus::bridge
