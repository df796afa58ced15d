#include "broker/core/queue_stats.h"

namespace fifobus {
namespace {

pb::Overflow InFrame(Overflow overflow) {
  switch (overflow) {
    case Overflow::kDropOldest:
      return pb::OVERFLOW_DROP_OLDEST;
    case Overflow::kDropNewest:
      return pb::OVERFLOW_DROP_NEWEST;
    case Overflow::kLatest:
      return pb::OVERFLOW_LATEST;
    case Overflow::kDisconnect:
      return pb::OVERFLOW_DISCONNECT;
    case Overflow::kBlock:
      return pb::OVERFLOW_BLOCK;
  }
  return pb::OVERFLOW_UNSPECIFIED;
}

}  // namespace

Overflow OverflowOf(pb::Overflow overflow) {
  switch (overflow) {
    case pb::OVERFLOW_DROP_NEWEST:
      return Overflow::kDropNewest;
    case pb::OVERFLOW_LATEST:
      return Overflow::kLatest;
    case pb::OVERFLOW_DISCONNECT:
      return Overflow::kDisconnect;
    case pb::OVERFLOW_BLOCK:
      return Overflow::kBlock;
    default:
      return Overflow::kDropOldest;
  }
}

pb::StatsReply::Queue QueueStats(const Egress::State& state) {
  pb::StatsReply::Queue queue;
  queue.set_queued_bytes(state.queued_bytes);
  queue.set_queued_messages(state.queued_messages);
  queue.set_dropped(state.dropped);
  queue.set_stalled(state.stalled);
  queue.set_overflow(InFrame(state.overflow));
  return queue;
}

}  // namespace fifobus
