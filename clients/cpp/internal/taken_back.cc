#include "clients/cpp/internal/taken_back.h"

#include <utility>

#include "clients/cpp/internal/frame_walk.h"
#include "proto/frame.h"

namespace fifobus {

void TakenBack::Take(Remains remains) {
  frames_ = std::move(remains.frames);
  messages_ = remains.messages;
  lost_messages_ += remains.lost;
  confirm_ids_.clear();
  ForEachFrame(frames_, [this](const FrameView& view) {
    const MessageView message = ReadMessage(view.member);
    if (message.confirm_id != 0) confirm_ids_.insert(message.confirm_id);
  });
}

void TakenBack::OnSent(uint64_t messages) {
  frames_ = std::string();
  messages_ = 0;
  resent_messages_ += messages;
}

}  // namespace fifobus
