// NATS core over loopback (it has no unix socket), through its C client. The
// address is a URL.
//
// Settings: payloads up to 64 MB; the server may hold 1 GB for one subscriber
// before it cuts it off, and the client library any amount. The library gathers
// by itself and flushes in a thread of its own; a publisher that may not gather
// has SendAsap.
#include <nats/nats.h>

#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

void Check(natsStatus status, const char* what) {
  if (status != NATS_OK) {
    Die(std::string(what) + ": " + natsStatus_GetText(status));
  }
}

natsConnection* Connect(const LoadOptions& options, bool asap) {
  natsOptions* nats_options = nullptr;
  natsConnection* connection = nullptr;
  Check(natsOptions_Create(&nats_options), "options");
  Check(natsOptions_SetURL(nats_options, options.address.c_str()), "url");
  if (asap) Check(natsOptions_SetSendAsap(nats_options, true), "asap");
  Check(natsConnection_Connect(&connection, nats_options), "connect");
  return connection;
}

class NatsPublisher : public Publisher {
 public:
  explicit NatsPublisher(const LoadOptions& options)
      : connection_(Connect(options, !options.batch)) {}
  void Publish(std::string_view payload) override {
    Check(natsConnection_Publish(connection_, kTopic.data(), payload.data(),
                                 static_cast<int>(payload.size())),
          "publish");
  }
  void Flush() override {}  // asap, or by the library's thread
  void Close() override { Check(natsConnection_Flush(connection_), "flush"); }

 private:
  natsConnection* const connection_;
};

class NatsSubscriber : public Subscriber {
 public:
  explicit NatsSubscriber(const LoadOptions& options)
      : connection_(Connect(options, false)) {
    Check(natsConnection_SubscribeSync(&subscription_, connection_,
                                       kTopic.data()),
          "subscribe");
    Check(natsSubscription_SetPendingLimits(subscription_, -1, -1), "limits");
    Check(natsConnection_Flush(connection_), "flush");
  }
  bool Receive(const OnPayload& on_payload) override {
    natsMsg* message = nullptr;
    const natsStatus status =
        natsSubscription_NextMsg(&message, subscription_, kIdleMillis);
    if (status == NATS_TIMEOUT) return false;
    Check(status, "next");
    on_payload({natsMsg_GetData(message),
                static_cast<size_t>(natsMsg_GetDataLength(message))});
    natsMsg_Destroy(message);
    return true;
  }

 private:
  natsConnection* const connection_;
  natsSubscription* subscription_ = nullptr;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<NatsPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<NatsSubscriber>(options);
}

void RunRelay(const RelayOptions&) { Die("start nats-server"); }

}  // namespace fifobus::bench
