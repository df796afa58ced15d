#include "broker/core/delivery/egress_transfer.h"

#include <memory>
#include <string>
#include <vector>

#include "broker/core/delivery/id_pool.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/egress_queue_support.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

const std::string kFrame = MessageFrame("a", std::string(90, 'x'));

class Listener : public RoomListener {
 public:
  void OnRoom() override { ++rooms; }
  int rooms = 0;
};

class EgressTransferTest : public testing::Test {
 protected:
  EgressTransferTest() {
    options_.egress_queue_bytes_max = 1000;
    sink_->room = 0;
    egress_ = MakeEgress();
  }

  std::shared_ptr<Egress> MakeEgress() {
    return std::make_shared<Egress>(7, EgressFormat::kFrames, options_, sink_,
                                    counters_);
  }

  void Offer(const std::string& bytes = kFrame) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    const Slice slice = {chunk->bytes(), bytes.size()};
    (void)egress_->Offer(chunk, {&slice, 1}, valve_);
  }

  void SetOverflow(Overflow overflow) {
    egress_->SetPolicy({overflow, {options_.egress_queue_bytes_max, 0}});
  }

  // The egress and the ingress that feeds it are those of a new broker now.
  void Upgrade() {
    StateCarrier carrier;
    carrier.old_ingresses.Add(3, valve_);
    const pb::state::Egress state = carrier.Carry(EgressTransfer::Export(
        *egress_, carrier.old_chunks, carrier.old_ingresses));
    const EgressState before = egress_->state();
    valve_ = std::make_shared<FakeValve>();
    sink_->clocks_started = 0;
    egress_ = MakeEgress();
    EgressTransfer::Restore(state, carrier.new_chunks, carrier.new_ingresses,
                            egress_);
    carrier.new_ingresses.Add(3, valve_);
    carrier.new_ingresses.Settle();
    ExpectSame(before, egress_->state());
  }

  static void ExpectSame(const EgressState& before, const EgressState& after) {
    EXPECT_EQ(before.queued_bytes, after.queued_bytes);
    EXPECT_EQ(before.queued_messages, after.queued_messages);
    EXPECT_EQ(before.overflow, after.overflow);
    EXPECT_EQ(before.dropped_by_reason, after.dropped_by_reason);
    EXPECT_EQ(before.delivered, after.delivered);
    EXPECT_EQ(before.delivered_bytes, after.delivered_bytes);
    EXPECT_EQ(before.stalls, after.stalls);
    EXPECT_EQ(before.holds_up, after.holds_up);
    EXPECT_EQ(before.stalled, after.stalled);
    EXPECT_EQ(before.reader_gone, after.reader_gone);
    EXPECT_EQ(before.ending, after.ending);
    EXPECT_LE(before.stuck, after.stuck);
  }

  // The reader takes so much, and the worker hears of it.
  void Read(size_t bytes) {
    sink_->room = bytes;
    egress_->OnWritable();
    sink_->room = 0;
  }

  // Until the ingress is paused.
  int Fill() {
    int offered = 0;
    for (; valve_->pauses == 0; ++offered) Offer();
    return offered;
  }

  BrokerOptions options_;
  Counters counters_;
  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  std::shared_ptr<Egress> egress_;
};

TEST_F(EgressTransferTest, AHalfWrittenFrameIsWrittenToItsEnd) {
  sink_->room = 10;
  Offer();
  Offer(MessageFrame("b", "second"));
  Upgrade();
  Read(SIZE_MAX);
  EXPECT_EQ(sink_->written, kFrame + MessageFrame("b", "second"));
}

TEST_F(EgressTransferTest, APausedIngressIsPausedStillAndResumedBelowHalf) {
  const int offered = Fill();
  Upgrade();
  EXPECT_EQ(valve_->pauses, 1);
  Read(kFrame.size());
  EXPECT_EQ(valve_->pauses, 1);
  Read(SIZE_MAX);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_EQ(Split(sink_->written).frames.size(), static_cast<size_t>(offered));
}

TEST_F(EgressTransferTest, AnIngressThatHasClosedIsNotWaitedFor) {
  Fill();
  StateCarrier carrier;  // which knows of no ingress
  const pb::state::Egress state = carrier.Carry(EgressTransfer::Export(
      *egress_, carrier.old_chunks, carrier.old_ingresses));
  EXPECT_EQ(state.pressure().paused_size(), 0);
}

TEST_F(EgressTransferTest, ARunningStallClockIsStartedAnewAndStalls) {
  const int offered = Fill();
  Upgrade();
  EXPECT_EQ(sink_->clocks_started, 1);
  egress_->OnStallTimeout();
  EXPECT_TRUE(egress_->state().stalled);
  EXPECT_EQ(valve_->pauses, 0);
  EXPECT_GT(egress_->state().dropped, 0u);
  Offer();
  EXPECT_EQ(valve_->pauses, 0);
  Read(SIZE_MAX);
  const std::vector<std::string> events = Events(sink_->written);
  EXPECT_EQ(events.front(),
            "-REASON_OVERFLOW " + std::to_string(egress_->state().dropped));
  EXPECT_EQ(egress_->state().delivered + egress_->state().dropped,
            static_cast<uint64_t>(offered) + 1);
}

TEST_F(EgressTransferTest, AStalledOneStaysStalledUntilItIsBelowHalf) {
  SetOverflow(Overflow::kDropNewest);
  Fill();
  egress_->OnStallTimeout();
  Upgrade();
  EXPECT_EQ(sink_->clocks_started, 0);
  const size_t queued = egress_->state().queued_messages;
  Offer();
  EXPECT_EQ(egress_->state().queued_messages, queued);
  Read(SIZE_MAX);
  EXPECT_FALSE(egress_->state().stalled);
  EXPECT_EQ(Events(sink_->written).back(), "-REASON_OVERFLOW 1");
}

TEST_F(EgressTransferTest, OneThatBlocksHoldsItsPublishersForAsLongAsItTakes) {
  SetOverflow(Overflow::kBlock);
  Fill();
  Upgrade();
  EXPECT_EQ(valve_->pauses, 1);
  egress_->OnStallTimeout();
  EXPECT_EQ(valve_->pauses, 1);
  EXPECT_EQ(egress_->state().dropped, 0u);
  Read(SIZE_MAX);
  EXPECT_EQ(valve_->pauses, 0);
}

TEST_F(EgressTransferTest, OneThatIsToldOfItsEndIsToldTheRest) {
  SetOverflow(Overflow::kDisconnect);
  sink_->room = 10;
  Fill();
  egress_->OnStallTimeout();
  ASSERT_TRUE(egress_->state().ending);
  Upgrade();
  EXPECT_EQ(sink_->clocks_started, 1);
  EXPECT_EQ(sink_->ends_requested, 0);
  Read(kFrame.size());  // the begun message, and a part of the gap
  Upgrade();
  Offer();  // is lost as well, behind a gap that is partly written
  Read(SIZE_MAX);
  const SplitFrames split = Split(sink_->written);
  EXPECT_EQ(split.rest, "");
  ASSERT_EQ(split.frames.size(), 4u);
  EXPECT_EQ(split.frames[0], kFrame);
  EXPECT_EQ(Parse(split.frames[1]).gap().reason(),
            pb::Gap::REASON_DISCONNECTED);
  EXPECT_EQ(Parse(split.frames[2]).gap().messages(), 1u);
  EXPECT_EQ(Parse(split.frames[3]).error().code(), pb::Error::CODE_OVERFLOW);
  EXPECT_EQ(sink_->ends_requested, 1);
}

TEST_F(EgressTransferTest, OneWhoseEndWasRequestedRequestsItAgain) {
  SetOverflow(Overflow::kDisconnect);
  Fill();
  egress_->OnStallTimeout();
  Read(SIZE_MAX);
  ASSERT_EQ(sink_->ends_requested, 1);
  Upgrade();  // before the worker came to it
  egress_->OnWritable();
  EXPECT_EQ(sink_->ends_requested, 2);
}

TEST_F(EgressTransferTest, AClosedOneIsAnEmptyShell) {
  Offer();
  sink_->unread_bytes = 0;
  egress_->Close();
  const uint64_t read = egress_->ReadPosition();
  Upgrade();
  Read(SIZE_MAX);
  EXPECT_EQ(sink_->written, "");
  EXPECT_EQ(egress_->ReadPosition(), read);
  EXPECT_EQ(egress_->OfferControl("x"), Egress::ControlOutcome::kClosed);
}

TEST_F(EgressTransferTest, AGroupIsToldOfRoomThatItWaitedFor) {
  sink_->room = 10;
  const Slice slice = {kFrame.data(), kFrame.size()};
  EXPECT_EQ(egress_->OfferIfRoom({&slice, 1}).bytes_taken, kFrame.size());
  EXPECT_EQ(egress_->OfferIfRoom({&slice, 1}).bytes_taken, 0u);
  Upgrade();
  const auto listener = std::make_shared<Listener>();
  egress_->SetRoomListener(listener);
  Read(SIZE_MAX);
  EXPECT_EQ(listener->rooms, 1);
  EXPECT_EQ(sink_->written, kFrame);
  // Where messages end in the stream is counted on.
  const Egress::RoomResult result = [&] {
    sink_->room = SIZE_MAX;
    return egress_->OfferIfRoom({&slice, 1});
  }();
  EXPECT_EQ(result.stream_end, 2 * kFrame.size());
}

TEST_F(EgressTransferTest, ItsIdIsNotHandedOutAgain) {
  IdPool ids;
  const uint32_t first = ids.Acquire();
  const uint32_t second = ids.Acquire();
  const uint32_t third = ids.Acquire();
  ids.GiveBack(second);
  IdPool restored;
  restored.Restore(ids.Export());
  EXPECT_EQ(restored.Acquire(), second);
  const uint32_t next = restored.Acquire();
  EXPECT_NE(next, first);
  EXPECT_NE(next, third);
}

}  // namespace
}  // namespace fifobus
