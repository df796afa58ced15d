#include "clients/cli/bridge/nats_link.h"

#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "clients/cli/bridge/nats_library.h"
#include "clients/cli/bridge/text.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

// Waits between attempts to connect. Not tuned.
constexpr absl::Duration kConnectWaitLeast = absl::Milliseconds(100);
constexpr absl::Duration kConnectWaitMost = absl::Seconds(10);

// A server that does not answer in this time is not there.
constexpr absl::Duration kConnectTimeout = absl::Seconds(2);
// A server that is stopped, or behind a cut, is noticed after two of these.
constexpr absl::Duration kPingInterval = absl::Seconds(2);
constexpr int kPingsOut = 2;
constexpr absl::Duration kWriteDeadline = absl::Seconds(5);
constexpr absl::Duration kEndPatience = absl::Seconds(2);

// What may be queued for the server: two windows of the default size. And what
// may have come and wait for the maps; the windows bound it, but for live
// subjects. Not tuned.
constexpr size_t kOutgoingBytesMax = size_t{16} << 20;
constexpr size_t kEventBytesMax = size_t{64} << 20;

// How often subscriptions are made again if rights for one are missing.
constexpr absl::Duration kRefusedWait = absl::Seconds(5);

// Words of nats-server, and of libnats when the server has hung up on it.
constexpr std::string_view kRefusedSubscription = "for Subscription to";
constexpr std::string_view kNoGreeting = "Expected 'PONG'";

int64_t Milliseconds(absl::Duration duration) {
  return absl::ToInt64Milliseconds(duration);
}

// The first line of a file.
absl::StatusOr<std::string> SecretIn(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line.empty()) {
    return absl::InvalidArgumentError(path + " holds no line of text");
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NatsLink>> NatsLink::Start(
    const NatsOptions& options, std::vector<std::string> subjects) {
  const auto library = NatsLibrary::Load();
  if (!library.ok()) return library.status();
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (wake.get() < 0) return absl::ErrnoToStatus(errno, "eventfd");
  std::unique_ptr<NatsLink> link(
      new NatsLink(**library, options, std::move(subjects), std::move(wake)));
  const absl::Status status = link->SetOptions();
  if (!status.ok()) return status;
  link->thread_ = std::thread([&link = *link] { link.Run(); });
  return link;
}

NatsLink::NatsLink(const NatsLibrary& library, const NatsOptions& options,
                   std::vector<std::string> subjects, UniqueFd wake)
    : library_(library),
      options_(options),
      wake_(std::move(wake)),
      backoff_(kConnectWaitLeast, kConnectWaitMost) {
  for (std::string& subject : subjects) {
    subjects_.push_back({this, subjects_.size(), std::move(subject)});
  }
}

NatsLink::~NatsLink() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
  library_.natsOptions_Destroy(nats_options_);
}

std::string NatsLink::TextOf(int status) const {
  natsStatus last = NATS_OK;
  const char* const detail = library_.nats_GetLastError(&last);
  const char* const text =
      library_.natsStatus_GetText(static_cast<natsStatus>(status));
  return last == status && detail != nullptr && *detail != '\0'
             ? Concat(text, ": ", detail)
             : text;
}

absl::Status NatsLink::SetSecrets() {
  natsStatus status = NATS_OK;
  if (!options_.credentials_file.empty()) {
    status = library_.natsOptions_SetUserCredentialsFromFiles(
        nats_options_, options_.credentials_file.c_str(), nullptr);
  }
  if (status == NATS_OK && !options_.nkey_file.empty()) {
    status = library_.natsOptions_SetNKeyFromSeed(
        nats_options_, options_.nkey.c_str(), options_.nkey_file.c_str());
  }
  if (status == NATS_OK && !options_.password_file.empty()) {
    const auto password = SecretIn(options_.password_file);
    if (!password.ok()) return password.status();
    status = library_.natsOptions_SetUserInfo(
        nats_options_, options_.user.c_str(), password->c_str());
  }
  if (status == NATS_OK && !options_.token_file.empty()) {
    const auto token = SecretIn(options_.token_file);
    if (!token.ok()) return token.status();
    status = library_.natsOptions_SetToken(nats_options_, token->c_str());
  }
  if (status == NATS_OK) return absl::OkStatus();
  return absl::InvalidArgumentError("[nats]: " + TextOf(status));
}

absl::Status NatsLink::SetOptions() {
  natsStatus status = library_.natsOptions_Create(&nats_options_);
  const auto set = [&status](auto function, auto... values) {
    if (status == NATS_OK) status = function(values...);
  };
  natsOptions* const to = nats_options_;
  std::vector<const char*> servers;
  for (const std::string& server : options_.servers) {
    servers.push_back(server.c_str());
  }
  set(library_.natsOptions_SetServers, to, servers.data(),
      static_cast<int>(servers.size()));
  set(library_.natsOptions_SetName, to, options_.client_name.c_str());
  set(library_.natsOptions_SetTimeout, to, Milliseconds(kConnectTimeout));
  set(library_.natsOptions_SetPingInterval, to, Milliseconds(kPingInterval));
  set(library_.natsOptions_SetMaxPingsOut, to, kPingsOut);
  set(library_.natsOptions_SetWriteDeadline, to, Milliseconds(kWriteDeadline));
  // Its reconnecting would keep messages that the maps publish anew as well.
  set(library_.natsOptions_SetAllowReconnect, to, false);
  // What a live map sends does not come back to another one.
  set(library_.natsOptions_SetNoEcho, to, true);
  set(library_.natsOptions_SetClosedCB, to, &NatsLink::OnClosed, this);
  set(
      library_.natsOptions_SetErrorHandler, to,
      [](natsConnection* connection, natsSubscription* subscription,
         natsStatus error,
         void* link) { OnError(connection, subscription, error, link); },
      this);
  if (options_.tls) set(library_.natsOptions_SetSecure, to, true);
  if (!options_.tls_ca_file.empty()) {
    set(library_.natsOptions_LoadCATrustedCertificates, to,
        options_.tls_ca_file.c_str());
  }
  if (!options_.tls_cert_file.empty()) {
    set(library_.natsOptions_LoadCertificatesChain, to,
        options_.tls_cert_file.c_str(), options_.tls_key_file.c_str());
  }
  if (!options_.tls_host.empty()) {
    set(library_.natsOptions_SetExpectedHostname, to,
        options_.tls_host.c_str());
  }
  if (status != NATS_OK) {
    return absl::InvalidArgumentError("[nats]: " + TextOf(status));
  }
  return SetSecrets();
}

SendOutcome NatsLink::Send(NatsMessage message) {
  {
    MutexLock lock(mutex_);
    if (!connected_) return SendOutcome::kNotConnected;
    if (outgoing_bytes_ > kOutgoingBytesMax) return SendOutcome::kFull;
    outgoing_bytes_ += message.bytes();
    outgoing_.push_back(std::move(message));
  }
  changed_.NotifyAll();
  return SendOutcome::kQueued;
}

std::vector<LinkEvent> NatsLink::Take() {
  eventfd_t count = 0;
  (void)eventfd_read(wake_.get(), &count);
  MutexLock lock(mutex_);
  std::vector<LinkEvent> taken;
  taken.swap(events_);
  event_bytes_ = 0;
  if (lost_ > 0) {
    LinkEvent event;
    event.kind = LinkEvent::Kind::kLost;
    event.lost = std::exchange(lost_, 0);
    taken.push_back(std::move(event));
  }
  return taken;
}

void NatsLink::Push(LinkEvent event) {
  {
    MutexLock lock(mutex_);
    events_.push_back(std::move(event));
  }
  (void)eventfd_write(wake_.get(), 1);
}

void NatsLink::OnClosed(natsConnection* /*connection*/, void* link) {
  NatsLink& self = *static_cast<NatsLink*>(link);
  // To the end under the lock: the link may be gone as soon as this is seen.
  MutexLock lock(self.mutex_);
  self.closed_ = true;
  self.connected_ = false;
  self.changed_.NotifyAll();
}

void NatsLink::OnComplete(void* link) {
  NatsLink& self = *static_cast<NatsLink*>(link);
  MutexLock lock(self.mutex_);
  --self.delivering_;
  self.changed_.NotifyAll();
}

void NatsLink::OnError(natsConnection* connection,
                       natsSubscription* /*subscription*/, int status,
                       void* link) {
  NatsLink& self = *static_cast<NatsLink*>(link);
  LinkEvent event;
  event.kind = LinkEvent::Kind::kError;
  const char* detail = nullptr;
  (void)self.library_.natsConnection_GetLastError(connection, &detail);
  event.text =
      detail != nullptr && *detail != '\0' ? detail : self.TextOf(status);
  if (status == NATS_NOT_PERMITTED &&
      event.text.find(kRefusedSubscription) != std::string::npos) {
    // Which one is not sure: the text is that of the last error.
    MutexLock lock(self.mutex_);
    self.refused_ = true;
  }
  self.Push(std::move(event));
}

void NatsLink::OnMessage(natsConnection* /*connection*/,
                         natsSubscription* /*subscription*/, natsMsg* message,
                         void* subject) {
  const Subject& self = *static_cast<const Subject*>(subject);
  self.link->PushMessage(self.index, message);
}

void NatsLink::PushMessage(size_t subject, natsMsg* from) {
  LinkEvent event;
  event.subject = subject;
  event.message = library_.Take(from);
  {
    MutexLock lock(mutex_);
    if (event_bytes_ > kEventBytesMax) {
      ++lost_;
    } else {
      event_bytes_ += event.message.bytes();
      events_.push_back(std::move(event));
    }
  }
  (void)eventfd_write(wake_.get(), 1);
}

absl::Status NatsLink::Subscribe(
    natsConnection* connection, std::vector<natsSubscription*>& subscriptions) {
  Unsubscribe(subscriptions);
  for (Subject& subject : subjects_) {
    natsSubscription* subscription = nullptr;
    const natsStatus status = library_.natsConnection_Subscribe(
        &subscription, connection, subject.name.c_str(), &NatsLink::OnMessage,
        &subject);
    if (status != NATS_OK) {
      return absl::UnavailableError(
          Concat("subscribing to ", subject.name, ": ", TextOf(status)));
    }
    subscriptions.push_back(subscription);
    {
      MutexLock lock(mutex_);
      ++delivering_;
    }
    // It fails if the connection is closed already: then it brings nothing.
    if (library_.natsSubscription_SetOnCompleteCB(
            subscription, &NatsLink::OnComplete, this) != NATS_OK) {
      OnComplete(this);
    }
  }
  return absl::OkStatus();
}

void NatsLink::Unsubscribe(std::vector<natsSubscription*>& subscriptions) {
  for (natsSubscription* subscription : subscriptions) {
    library_.natsSubscription_Destroy(subscription);
  }
  subscriptions.clear();
}

void NatsLink::SendAll(natsConnection* connection,
                       const std::deque<NatsMessage>& messages) {
  for (const NatsMessage& message : messages) {
    natsMsg* made = nullptr;
    natsStatus status = library_.natsMsg_Create(
        &made, message.subject.c_str(),
        message.reply.empty() ? nullptr : message.reply.c_str(),
        message.payload.data(), static_cast<int>(message.payload.size()));
    for (const NatsMessage::Header& header : message.headers) {
      if (status != NATS_OK) break;
      status = library_.natsMsgHeader_Add(made, header.name.c_str(),
                                          header.value.c_str());
    }
    if (status == NATS_OK) {
      status = library_.natsConnection_PublishMsg(connection, made);
    }
    library_.natsMsg_Destroy(made);
    if (status != NATS_OK) {
      LinkEvent event;
      event.kind = LinkEvent::Kind::kError;
      event.text =
          Concat("publishing on ", message.subject, ": ", TextOf(status));
      Push(std::move(event));
      if (status == NATS_CONNECTION_CLOSED) return;
    }
  }
}

void NatsLink::Disconnect(natsConnection* connection) {
  library_.natsConnection_Close(connection);
  {
    // Nothing of libnats calls for this connection any more.
    MutexLock lock(mutex_);
    changed_.Await(mutex_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return closed_ && delivering_ == 0;
    });
    connected_ = false;
    outgoing_.clear();
    outgoing_bytes_ = 0;
  }
  library_.natsConnection_Destroy(connection);
}

void NatsLink::Serve(natsConnection* connection) {
  std::vector<natsSubscription*> subscriptions;
  LinkEvent event;
  const absl::Status status = Subscribe(connection, subscriptions);
  if (!status.ok()) {
    event.kind = LinkEvent::Kind::kFailed;
    event.text = MessageOf(status);
    Push(std::move(event));
  } else {
    std::array<char, 256> url = {};
    (void)library_.natsConnection_GetConnectedUrl(connection, url.data(),
                                                  url.size());
    event.kind = LinkEvent::Kind::kConnected;
    event.text = url.data();
    event.payload_bytes_max =
        static_cast<size_t>(library_.natsConnection_GetMaxPayload(connection));
    {
      MutexLock lock(mutex_);
      connected_ = !closed_;
    }
    Push(std::move(event));
    backoff_.Reset();
    Deadline next_refused(kRefusedWait);
    bool ends = false;
    while (!ends) {
      std::deque<NatsMessage> messages;
      bool refused = false;
      {
        MutexLock lock(mutex_);
        changed_.AwaitFor(mutex_, kRefusedWait,
                          [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                            return stopping_ || closed_ || !outgoing_.empty();
                          });
        messages.swap(outgoing_);
        if (next_refused.HasCome()) {
          refused = std::exchange(refused_, false);
          next_refused = Deadline(kRefusedWait);
        }
        outgoing_bytes_ = 0;
        ends = closed_ || (stopping_ && messages.empty());
      }
      SendAll(connection, messages);
      // If the connection is gone, there will be another.
      if (refused) (void)Subscribe(connection, subscriptions);
    }
    (void)library_.natsConnection_FlushTimeout(connection,
                                               Milliseconds(kEndPatience));
    const char* why = nullptr;
    (void)library_.natsConnection_GetLastError(connection, &why);
    LinkEvent lost;
    lost.kind = LinkEvent::Kind::kDisconnected;
    lost.text =
        why != nullptr && *why != '\0' ? why : "the server has closed it";
    Push(std::move(lost));
  }
  Disconnect(connection);
  Unsubscribe(subscriptions);
}

void NatsLink::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      closed_ = false;
      refused_ = false;
    }
    natsConnection* connection = nullptr;
    const natsStatus status =
        library_.natsConnection_Connect(&connection, nats_options_);
    if (status == NATS_OK) {
      Serve(connection);
    } else {
      LinkEvent event;
      event.kind = LinkEvent::Kind::kFailed;
      event.text = TextOf(status);
      if (options_.tls && options_.tls_cert_file.empty() &&
          event.text.find(kNoGreeting) != std::string::npos) {
        event.text += "; the server may want tls-cert-file";
      }
      Push(std::move(event));
    }
    MutexLock lock(mutex_);
    changed_.AwaitFor(
        mutex_, backoff_.Next(),
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_; });
  }
}

}  // namespace fifobus::bridge
