#include "broker/core/sessions/publisher_claims.h"

#include <utility>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

void PublisherClaim::Take(uint64_t session, Fence fence) {
  Fence older;
  {
    const MutexLock lock(mutex_);
    older = std::exchange(fence_, std::move(fence));
    session_ = session;
  }
  if (older) older();
}

void PublisherClaim::GiveUp(uint64_t session) {
  const MutexLock lock(mutex_);
  if (session_ != session) return;
  session_ = 0;
  fence_ = nullptr;
}

PublisherClaim::Turn::Turn(PublisherClaim& claim,
                           uint64_t session) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : claim_(claim) {
  claim_.mutex_.Lock();
  is_owner_ = claim_.session_ == session;
}

PublisherClaim::Turn::~Turn() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  claim_.mutex_.Unlock();
}

std::shared_ptr<PublisherClaim> PublisherClaims::Find(const std::string& name) {
  const MutexLock lock(mutex_);
  std::shared_ptr<PublisherClaim>& claim = claims_[name];
  if (!claim) claim = std::make_shared<PublisherClaim>();
  return claim;
}

void PublisherClaims::Return(const std::string& name,
                             std::shared_ptr<PublisherClaim> claim) {
  const MutexLock lock(mutex_);
  claim.reset();
  const auto found = claims_.find(name);
  // References are made from this one alone.
  if (found != claims_.end() && found->second.use_count() == 1) {
    claims_.erase(found);
  }
}

size_t PublisherClaims::size() const {
  const MutexLock lock(mutex_);
  return claims_.size();
}

std::string FencedText(std::string_view name) {
  return fmt::format("another session has taken the publisher's name \"{}\"",
                     name);
}

std::string PublisherNameFault(std::string_view name) {
  const TopicFault fault = CheckTopicToPublish(name);
  if (fault != TopicFault::kNone) {
    return fmt::format("the publisher's name {}", TopicFaultText(fault));
  }
  if (name.find('/') != std::string_view::npos) {
    return "the publisher's name must be one level of a topic";
  }
  return "";
}

}  // namespace fifobus
