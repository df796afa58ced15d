#include "broker/core/sessions/answers.h"

#include <utility>

#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

pb::Frame ErrorFrame(pb::Error::Code code, std::string text,
                     uint64_t request_id) {
  pb::Frame frame;
  frame.mutable_error()->set_code(code);
  frame.mutable_error()->set_text(std::move(text));
  frame.mutable_error()->set_request_id(request_id);
  return frame;
}

}  // namespace

FeedOutcome Answers::Send(const pb::Frame& frame) {
  std::string bytes;
  AppendFrame(frame, bytes);
  return SendFrames(bytes);
}

FeedOutcome Answers::SendFrames(std::string_view frames) {
  if (egress_->OfferControl(frames) != Egress::ControlOutcome::kFull) {
    return FeedOutcome::kContinue;  // a client that has gone needs no answer
  }
  end_reason_ = "the client does not read its answers";
  return FeedOutcome::kClose;
}

FeedOutcome Answers::Refuse(uint64_t request_id, pb::Error::Code code,
                            std::string text) {
  return Send(ErrorFrame(code, std::move(text), request_id));
}

FeedOutcome Answers::RefuseSession(pb::Error::Code code, std::string text) {
  (void)Send(ErrorFrame(code, text, /*request_id=*/0));
  end_reason_ = std::move(text);
  return FeedOutcome::kClose;
}

std::string DeniedText(uint32_t uid, std::string_view what,
                       std::string_view name) {
  return fmt::format(
      "user {} may not {} \"{}\" on this bus; see its configuration", uid, what,
      name);
}

}  // namespace fifobus
