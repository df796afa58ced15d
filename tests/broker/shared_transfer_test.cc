#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/bus/counters_transfer.h"
#include "broker/core/delivery/id_pool.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/topic_stats.h"
#include "broker/io/rest_buffer.h"
#include "broker/state/delivery_state.pb.h"
#include "broker/state/retained_state.pb.h"
#include "broker/state/shared_state.pb.h"
#include "gtest/gtest.h"
#include "proto/expiry.h"
#include "tests/support/core_fakes.h"
#include "tests/support/filled_state.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

TEST(CountersTransferTest, EveryCounterGoesOn) {
  Counters counters;
  size_t visited = 0;
  counters.ForEachCounter(
      [&](const char*, Counter& counter) { counter.Add(++visited); });
  // A counter that is not visited is neither shown nor taken over.
  EXPECT_EQ(visited * sizeof(Counter), sizeof(Counters));

  Counters restored;
  restored.sessions_opened.Add(100);
  RestoreCounters(ExportCounters(counters), restored);
  EXPECT_EQ(restored.sessions_opened.value(),
            100 + counters.sessions_opened.value());
  std::map<std::string, uint64_t> values;
  restored.ForEach(
      [&](const char* name, uint64_t value) { values[name] = value; });
  counters.ForEach([&](const char* name, uint64_t value) {
    if (name != std::string("sessions_opened")) {
      EXPECT_EQ(values[name], value);
    }
  });
}

TEST(CountersTransferTest, OneThatIsNotKnownIsPassedOver) {
  pb::state::Counters state;
  (*state.mutable_counts())["of_a_later_version"] = 5;
  Counters counters;
  RestoreCounters(state, counters);
  counters.ForEach([](const char*, uint64_t value) { EXPECT_EQ(value, 0u); });
}

std::string Listing(const TopicStats& stats) {
  std::map<std::string, std::string> topics;
  const auto text = [](const TopicSum& sum) {
    std::string text = std::to_string(sum.messages) + " " +
                       std::to_string(sum.bytes) + " " +
                       std::to_string(sum.no_subscriber) + " " +
                       std::to_string(sum.lines_refused) + ":";
    for (const uint64_t session : sum.publishers) {
      text += " " + std::to_string(session);
    }
    return text + "\n";
  };
  stats.Collect([&](const std::string& topic, const TopicSum& sum) {
    topics[topic] = text(sum);
  });
  std::string listing;
  for (const auto& [topic, line] : topics) listing += topic + " " + line;
  return listing + "replies " + text(stats.replies()) + "forgotten " +
         text(stats.forgotten());
}

void Publish(TopicStats& stats, const std::string& topic, uint64_t session) {
  const auto count = stats.Find(topic);
  stats.Touch(*count);
  count->NotePublisher(session);
  count->Add(1, 10, 1);
}

TEST(TopicStatsTransferTest, TheSumsArePublishedOnAndTheIdleForgottenFirst) {
  TopicStats stats(8);
  for (int i = 0; i < 12; ++i) Publish(stats, "t" + std::to_string(i), 1);
  for (uint64_t session = 1; session < 12; ++session) {
    Publish(stats, "t11", session);
  }
  stats.Find("t11")->AddRefusedLines(3);
  Publish(stats, "$reply/x", 4);
  StateCarrier carrier;
  TopicStats restored(8);
  restored.Restore(carrier.Carry(stats.Export()));
  EXPECT_EQ(Listing(restored), Listing(stats));
  // The same goes on in both.
  for (int i = 0; i < 6; ++i) {
    for (TopicStats* const each : {&stats, &restored}) {
      Publish(*each, "new" + std::to_string(i), 20);
      Publish(*each, "t11", 20 + static_cast<uint64_t>(i));
    }
    EXPECT_EQ(Listing(restored), Listing(stats));
  }
}

class RetainedTransferTest : public testing::Test {
 protected:
  static void Retain(RetainedStore& store, std::string_view topic,
                     std::string_view payload, size_t history = 1,
                     uint64_t expiry_unix_nanos = 0) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.retain = true;
    fields.expiry_unix_nanos = expiry_unix_nanos;
    std::string frame;
    AppendMessageFrame(fields, frame);
    RetainedStore::Transaction transaction(store);
    (void)transaction.Keep(frame, ReadMessageFrame(frame), history);
  }

  static std::vector<std::string> Replayed(RetainedStore& store) {
    std::vector<std::string> lines;
    RetainedStore::Transaction transaction(store);
    transaction.Replay(
        "**", [&](const std::string& topic, const RetainedValue& value) {
          const pb::Message message = Parse(value.frame()).message();
          lines.push_back(topic + "=" + message.payload());
        });
    return lines;
  }

  void Upgrade() {
    StateCarrier carrier;
    std::vector<pb::state::RetainedTopic> states;
    {
      RetainedStore::Transaction transaction(store_);
      transaction.Export(carrier.old_chunks,
                         [&](pb::state::RetainedTopic state) {
                           states.push_back(std::move(state));
                         });
    }
    RetainedStore::Transaction transaction(next_);
    for (const pb::state::RetainedTopic& state : states) {
      transaction.Restore(carrier.Carry(state), carrier.new_chunks);
    }
  }

  BrokerOptions options_ = [] {
    BrokerOptions options;
    options.retained_bytes_max = 400;
    options.retained_topics_max = 3;
    return options;
  }();
  Counters counters_;
  RetainedStore store_{options_, counters_};
  RetainedStore next_{options_, counters_};
};

TEST_F(RetainedTransferTest, ValuesAndHistoryAreThoseThatWereKept) {
  for (const char* const payload : {"1", "2", "3", "4"}) {
    Retain(store_, "history", payload, /*history=*/3);
  }
  Retain(store_, "last", "one");
  Upgrade();
  EXPECT_EQ(Replayed(next_), Replayed(store_));
  EXPECT_EQ(next_.topics(), 2u);
  Retain(next_, "history", "5", /*history=*/3);
  EXPECT_EQ(Replayed(next_),
            (std::vector<std::string>{"history=3", "history=4", "history=5",
                                      "last=one"}));
}

TEST_F(RetainedTransferTest, TheLimitsHoldAsBefore) {
  Retain(store_, "a", std::string(150, 'a'));
  Retain(store_, "b", std::string(150, 'b'));
  Upgrade();
  for (RetainedStore* const each : {&store_, &next_}) {
    Retain(*each, "c", std::string(60, 'c'));
  }
  EXPECT_EQ(counters_.messages_not_retained.value(), 2u);
  EXPECT_EQ(Replayed(next_), Replayed(store_));
}

TEST_F(RetainedTransferTest, WhatExpiresStillExpires) {
  Retain(store_, "later", "x", 1, UnixNanosNow() + 3'600'000'000'000);
  const uint64_t soon = UnixNanosNow() + 1'000'000;
  Retain(store_, "soon", "x", 1, soon);
  Upgrade();
  while (!IsExpired(soon)) {
  }
  RetainedStore::Transaction transaction(next_);
  EXPECT_GT(transaction.ForgetExpired(), soon);
  EXPECT_EQ(next_.topics(), 1u);
}

class FilledStateTest : public testing::TestWithParam<int> {
 protected:
  StateFiller filler_{GetParam()};
  StateChunks chunks_;
};

TEST_P(FilledStateTest, OfIdsIsKept) {
  pb::state::IdPool state;
  filler_.Fill(state);
  IdPool ids;
  ids.Restore(state);
  ExpectSameState(state, ids.Export());
}

TEST_P(FilledStateTest, OfTopicsIsKept) {
  pb::state::TopicStats state;
  filler_.Fill(state);
  TopicStats stats(10);
  stats.Restore(state);
  pb::state::TopicStats again = stats.Export();
  std::sort(again.mutable_topics()->begin(), again.mutable_topics()->end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  ExpectSameState(state, again);
}

TEST_P(FilledStateTest, OfRetainedValuesIsKept) {
  std::vector<std::string> chunks;
  filler_.SetNumber("ChunkRange.chunk", [&] {
    chunks.push_back("value " + std::to_string(chunks.size()));
    chunks_.Add(chunks.size(), 0, Chunk::CopyOf(chunks.back()));
    return chunks.size();
  });
  filler_.SetNumber("ChunkRange.begin", [] { return 0; });
  filler_.SetNumber("ChunkRange.size", [&] { return chunks.back().size(); });
  pb::state::RetainedTopic state;
  filler_.Fill(state);
  BrokerOptions options;
  Counters counters;
  RetainedStore store(options, counters);
  RetainedStore::Transaction transaction(store);
  transaction.Restore(state, chunks_);
  state.clear_unwritten();  // RetainedFiles'
  StateChunks exported;
  transaction.Export(exported, [&](const pb::state::RetainedTopic& again) {
    ExpectSameState(state, again);
  });
  EXPECT_EQ(exported.exported().size(), chunks.size());
}

TEST_P(FilledStateTest, OfABegunFrameIsKept) {
  filler_.SetNumber("ChunkRange.chunk", [] { return 1; });
  filler_.SetNumber("ChunkRange.begin", [] { return 0; });
  filler_.SetNumber("ChunkRange.size", [] { return 5; });
  chunks_.Add(1, 0, Chunk::CopyOf("begun"));
  pb::state::RestBuffer state;
  filler_.Fill(state);
  if (GetParam() % 2 == 0) {
    state.clear_carried();
  } else {
    state.clear_assembled();
    state.clear_wanted_bytes();
  }
  RestBuffer rest(/*chunk_bytes=*/1000);
  rest.Restore(state, chunks_);
  StateChunks exported;
  ExpectSameState(state, rest.Export(exported));
}

INSTANTIATE_TEST_SUITE_P(Rounds, FilledStateTest,
                         testing::Range(0, StateFiller::kRounds));

}  // namespace
}  // namespace fifobus
