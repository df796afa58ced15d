// NATS JetStream over loopback, through its C client. The address is a URL.
//
// Settings: one file stream, one replica, no limits; publishers use
// js_PublishAsync and count the acknowledgements; the reader is an ordered
// consumer.
#include <nats/nats.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "bench/durable/storage.h"

namespace fifobus::bench {
namespace {

constexpr int64_t kPatienceMillis = 60000;

void Check(natsStatus status, const char* what) {
  if (status != NATS_OK) {
    Die(std::string(what) + ": " + natsStatus_GetText(status));
  }
}

natsConnection* Connect(const std::string& address) {
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  Check(natsOptions_Create(&options), "options");
  Check(natsOptions_SetURL(options, address.c_str()), "url");
  Check(natsOptions_SetSendAsap(options, true), "asap");
  Check(natsConnection_Connect(&connection, options), "connect");
  return connection;
}

jsCtx* JetStream(natsConnection* connection, jsOptions* options) {
  jsCtx* context = nullptr;
  Check(natsConnection_JetStream(&context, connection, options), "jetstream");
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subjects[] = {"load"};
  config.Name = "LOAD";
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  jsErrCode code{};
  const natsStatus status =
      js_AddStream(nullptr, context, &config, nullptr, &code);
  if (status != NATS_OK && code != JSStreamNameExistErr) {
    Check(status, "stream");
  }
  return context;
}

class NatsStorer : public Storer {
 public:
  NatsStorer(const std::string& address, size_t in_flight_max)
      : connection_(Connect(address)) {
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = static_cast<int64_t>(in_flight_max) + 1;
    options.PublishAsync.AckHandler = &NatsStorer::OnAck;
    options.PublishAsync.AckHandlerClosure = this;
    context_ = JetStream(connection_, &options);
  }
  void Send(std::string_view payload) override {
    Check(js_PublishAsync(context_, "load", payload.data(),
                          static_cast<int>(payload.size()), nullptr),
          "publish");
  }
  size_t Await() override {
    std::unique_lock<std::mutex> lock(mutex_);
    acked_any_.wait(lock, [&] { return acked_ > 0; });
    return std::exchange(acked_, 0);
  }

 private:
  static void OnAck(jsCtx*, natsMsg* message, jsPubAck*, jsPubAckErr* error,
                    void* storer) {
    if (error != nullptr) Die(std::string("ack: ") + error->ErrText);
    auto& self = *static_cast<NatsStorer*>(storer);
    {
      const std::lock_guard<std::mutex> lock(self.mutex_);
      ++self.acked_;
    }
    self.acked_any_.notify_one();
    natsMsg_Destroy(message);
  }

  natsConnection* const connection_;
  jsCtx* context_ = nullptr;
  std::mutex mutex_;
  std::condition_variable acked_any_;
  size_t acked_ = 0;
};

class NatsReplayer : public Replayer {
 public:
  explicit NatsReplayer(const std::string& address) {
    jsCtx* const context = JetStream(Connect(address), nullptr);
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Ordered = true;
    jsErrCode code{};
    Check(js_SubscribeSync(&subscription_, context, "load", nullptr, &options,
                           &code),
          "subscribe");
    Check(natsSubscription_SetPendingLimits(subscription_, -1, -1), "limits");
  }
  void Receive(const OnStored& on_stored) override {
    natsMsg* message = nullptr;
    Check(natsSubscription_NextMsg(&message, subscription_, kPatienceMillis),
          "next");
    on_stored({natsMsg_GetData(message),
               static_cast<size_t>(natsMsg_GetDataLength(message))});
    natsMsg_Destroy(message);
  }

 private:
  natsSubscription* subscription_ = nullptr;
};

}  // namespace

std::unique_ptr<Storer> MakeStorer(const std::string& address,
                                   size_t in_flight_max) {
  return std::make_unique<NatsStorer>(address, in_flight_max);
}

std::unique_ptr<Replayer> MakeReplayer(const std::string& address) {
  return std::make_unique<NatsReplayer>(address);
}

}  // namespace fifobus::bench
