#include "clients/cpp/internal/confirms.h"

namespace fifobus {

Level LevelFrom(pb::Confirm::Level level) {
  return level == pb::Confirm::LEVEL_UNSPECIFIED ? Level::kNone
                                                 : Level::kAccepted;
}

Confirmation ConfirmationFrom(const pb::Confirm& confirm) {
  Confirmation confirmation;
  confirmation.confirm_id = confirm.confirm_id();
  confirmation.level = LevelFrom(confirm.level());
  confirmation.sessions = confirm.sessions();
  confirmation.taps = confirm.taps();
  confirmation.retained = confirm.retained();
  return confirmation;
}

}  // namespace fifobus
