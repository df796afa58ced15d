#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LINK_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LINK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/bridge/backoff.h"
#include "clients/cli/bridge/bridge_config.h"
#include "clients/cli/bridge/link_event.h"
#include "clients/cli/bridge/nats_message.h"

struct __natsConnection;
struct __natsMsg;
struct __natsOptions;
struct __natsSubscription;

namespace fifobus::bridge {

struct NatsLibrary;

// The bridge's connection to NATS: one at a time, and the next one when it is
// lost, after a wait that grows and is never the same for two bridges.
//
// It has a thread that connects and sends, so that a server that takes nothing
// holds up nobody else. What was queued for a connection that is lost is dropped,
// and nothing is queued while there is none: the maps know what is not
// acknowledged, and begin again there.
//
// Thread-safe: the maps' thread calls, libnats's threads bring what arrives.
class NatsLink {
 public:
  // Connects from now on. `subjects` are subscribed to on each connection; an
  // event names them by index. NotFound: libnats is not installed;
  // InvalidArgument: a file is not what it should be.
  static absl::StatusOr<std::unique_ptr<NatsLink>> Start(
      const NatsOptions& options, std::vector<std::string> subjects);

  // Sends what is queued, for at most 2 s, and disconnects.
  ~NatsLink();
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;

  [[nodiscard]] SendOutcome Send(NatsMessage message);

  // What has happened since the last call, in order.
  std::vector<LinkEvent> Take();
  // Readable when Take has something.
  int fd() const { return wake_.get(); }

 private:
  NatsLink(const NatsLibrary& library, const NatsOptions& options,
           std::vector<std::string> subjects, UniqueFd wake);

  // What a callback of libnats needs to know which subscription it is of.
  struct Subject {
    NatsLink* link;
    size_t index;
    std::string name;
  };

  absl::Status SetOptions();
  absl::Status SetSecrets();
  void Run();
  // Until the connection is lost, or the end.
  void Serve(__natsConnection* connection);
  // Instead of those that there are.
  absl::Status Subscribe(__natsConnection* connection,
                         std::vector<__natsSubscription*>& subscriptions);
  void Unsubscribe(std::vector<__natsSubscription*>& subscriptions);
  void SendAll(__natsConnection* connection,
               const std::deque<NatsMessage>& messages);
  void Disconnect(__natsConnection* connection);
  void Push(LinkEvent event);
  void PushMessage(size_t subject, __natsMsg* message);
  std::string TextOf(int status) const;

  static void OnClosed(__natsConnection* connection, void* link);
  static void OnError(__natsConnection* connection,
                      __natsSubscription* subscription, int status, void* link);
  static void OnComplete(void* link);
  static void OnMessage(__natsConnection* connection,
                        __natsSubscription* subscription, __natsMsg* message,
                        void* subject);

  const NatsLibrary& library_;
  const NatsOptions options_;
  std::vector<Subject> subjects_;
  const UniqueFd wake_;  // an eventfd
  __natsOptions* nats_options_ = nullptr;
  Backoff backoff_;  // of the thread

  Mutex mutex_;
  Condition changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  // The connection is no more; set by libnats, reset before the next one.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // The server has refused a subscription.
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  // Of its subscriptions, those whose thread may still bring something.
  size_t delivering_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<NatsMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  size_t outgoing_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<LinkEvent> events_ ABSL_GUARDED_BY(mutex_);
  size_t event_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t lost_ ABSL_GUARDED_BY(mutex_) = 0;  // messages without room

  std::thread thread_;  // last, so that all else is there when it begins
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LINK_H_
