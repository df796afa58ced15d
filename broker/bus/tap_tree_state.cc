// What of TapTree concerns upgrades.
#include "broker/bus/tap_tree.h"

namespace fifobus {

void TapTree::Hold() {
  held_ = true;
  strays_.Hold();
}

void TapTree::GoOn() {
  held_ = false;
  strays_.GoOn();
  LookAtAll();
}

void TapTree::Export(StateChunks& chunks, const StateIngresses& ingresses,
                     pb::state::Broker& broker, StateWriter& state) const {
  for (const auto& [path, reason] : refused_) {
    (*broker.mutable_refused_names())[path] = reason;
  }
  taps_.Export(chunks, ingresses, state);
  strays_.Export(state);
}

void TapTree::Restore(const pb::state::Broker& broker) {
  refused_.insert(broker.refused_names().begin(), broker.refused_names().end());
}

absl::Status TapTree::Restore(const pb::state::Record& tap,
                              const StateChunks& chunks,
                              StateIngresses& ingresses) {
  if (!tap.has_stray_file()) return taps_.Restore(tap, chunks, ingresses);
  strays_.Restore(tap.stray_file());
  return absl::OkStatus();
}

}  // namespace fifobus
