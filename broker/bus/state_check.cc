#include "broker/bus/state_check.h"

#include <memory>

#include "broker/base/check.h"
#include "broker/core/delivery/egress_transfer.h"
#include "broker/io/rest_buffer.h"
#include "proto/topic.h"

namespace fifobus {

void StateCheck::Add(const pb::state::Record& record, size_t chunk_bytes) {
  switch (record.kind_case()) {
    case pb::state::Record::kChunk:
      // Memory that is never touched costs nothing.
      chunks_.Add(record.chunk().number(), record.chunk().begin(),
                  Chunk::Make(chunk_bytes));
      return;
    case pb::state::Record::kRetainedTopic: {
      RetainedStore::Transaction retained(retained_);
      retained.Restore(record.retained_topic(), chunks_);
      return;
    }
    case pb::state::Record::kGroup:
      return AddEgress(record.group().group().egress());
    case pb::state::Record::kSession:
      return AddSession(record.session());
    case pb::state::Record::kTapIn:
      return AddIngress(record.tap_in().pipe());
    case pb::state::Record::kTapOut:
      return AddEgress(record.tap_out().egress());
    default:
      return;
  }
}

void StateCheck::AddSession(const pb::state::SessionLink& session) {
  AddEgress(session.egress());
  if (session.has_up()) AddIngress(session.up());
  if (session.session().has_will()) {
    (void)chunks_.Restore(session.session().will());
  }
  for (const auto& pattern : session.session().requests().patterns()) {
    FIFOBUS_CHECK(CheckPattern(pattern) == TopicFault::kNone);
  }
}

void StateCheck::AddIngress(const pb::state::IngressPipe& ingress) {
  RestBuffer rest(options_.chunk_bytes);
  rest.Restore(ingress.rest(), chunks_);
}

void StateCheck::AddEgress(const pb::state::Egress& egress) {
  const auto built = std::make_shared<Egress>(
      egress.id(), EgressFormat::kFrames, options_, nullptr, counters_);
  EgressTransfer::Restore(egress, chunks_, ingresses_, built);
}

}  // namespace fifobus
