#include "broker/bus/state_check.h"

#include <memory>
#include <string>

#include "broker/core/delivery/egress_transfer.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

class StateCheckTest : public testing::Test {
 protected:
  StateCheckTest() {
    const auto sink = std::make_shared<FakeSink>();
    sink->room = 0;
    const auto egress = std::make_shared<Egress>(1, EgressFormat::kFrames,
                                                 options_, sink, counters_);
    const ChunkRef chunk = Chunk::CopyOf(MessageFrame("a", "b"));
    const Slice slice{chunk->bytes(), chunk->capacity()};
    (void)egress->Offer(chunk, {&slice, 1}, nullptr);
    StateChunks chunks;
    pb::state::SessionLink& link = *session_.mutable_session();
    link.set_number(1);
    *link.mutable_egress() = EgressTransfer::Export(*egress, chunks, {});
    link.mutable_up()->mutable_rest()->set_carried("begun");
    link.mutable_session()->mutable_requests()->add_patterns("a/**");
    chunk_.mutable_chunk()->set_number(chunks.exported()[0].number);
    chunk_.mutable_chunk()->set_begin(chunks.exported()[0].begin);
    chunk_bytes_ = chunks.exported()[0].bytes.size();
  }

  void Check() {
    StateCheck check(options_);
    check.Add(chunk_, chunk_bytes_);
    check.Add(session_, 0);
  }

  BrokerOptions options_;
  Counters counters_;
  pb::state::Record chunk_;
  size_t chunk_bytes_ = 0;
  pb::state::Record session_;
};

TEST_F(StateCheckTest, AStateThatCanBeBuiltIsGood) { Check(); }

TEST_F(StateCheckTest, RecordsOfOtherKindsArePassedOver) {
  StateCheck check(options_);
  pb::state::Record record;
  check.Add(record, 0);
  record.mutable_counters();
  check.Add(record, 0);
}

using StateCheckDeathTest = StateCheckTest;

TEST_F(StateCheckDeathTest, AMissingChunkIsNoState) {
  session_.mutable_session()
      ->mutable_egress()
      ->mutable_queue()
      ->mutable_entries(0)
      ->mutable_bytes()
      ->set_chunk(99);
  EXPECT_DEATH(Check(), "check failed");
}

TEST_F(StateCheckDeathTest, ABegunFrameThatFitsNoChunkIsNoState) {
  options_.chunk_bytes = 3;
  EXPECT_DEATH(Check(), "check failed");
}

TEST_F(StateCheckDeathTest, APatternThatIsNoneIsNoState) {
  session_.mutable_session()
      ->mutable_session()
      ->mutable_requests()
      ->add_patterns("a//b");
  EXPECT_DEATH(Check(), "check failed");
}

}  // namespace
}  // namespace fifobus
