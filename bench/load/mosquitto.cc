// mosquitto, MQTT over a unix socket, QoS 0, through libmosquitto. The address
// is the socket.
//
// Settings: Queued messages have no limit, because mosquitto would drop what is
// above it. Nagle's delay is off. The clients have no thread of their own and
// call the library's loop.
#include <mosquitto.h>

#include <chrono>

#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

void Check(int result, const char* what) {
  if (result != MOSQ_ERR_SUCCESS) {
    Die(std::string(what) + ": " + mosquitto_strerror(result));
  }
}

void Loop(mosquitto* client, int millis) {
  Check(mosquitto_loop(client, millis, 1), "loop");
}

mosquitto* Connect(const LoadOptions& options, void* self) {
  mosquitto_lib_init();
  mosquitto* client = mosquitto_new(nullptr, true, self);
  if (client == nullptr) Die("mosquitto_new");
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  // Port 0: the host is a socket's path.
  Check(mosquitto_connect(client, options.address.c_str(), 0, 60), "connect");
  return client;
}

class MosquittoPublisher : public Publisher {
 public:
  explicit MosquittoPublisher(const LoadOptions& options)
      : client_(Connect(options, this)) {
    mosquitto_connect_callback_set(client_, [](mosquitto*, void* self, int) {
      static_cast<MosquittoPublisher*>(self)->connected_ = true;
    });
    while (!connected_) Loop(client_, 100);
  }
  void Publish(std::string_view payload) override {
    Check(mosquitto_publish(client_, nullptr, kTopic.data(),
                            static_cast<int>(payload.size()), payload.data(), 0,
                            false),
          "publish");
    while (mosquitto_want_write(client_)) Loop(client_, 10);
  }
  void Flush() override {}
  void Close() override {
    mosquitto_disconnect(client_);
    while (mosquitto_loop(client_, 100, 1) == MOSQ_ERR_SUCCESS) {
    }
  }

 private:
  mosquitto* const client_;
  bool connected_ = false;
};

class MosquittoSubscriber : public Subscriber {
 public:
  explicit MosquittoSubscriber(const LoadOptions& options)
      : client_(Connect(options, this)) {
    mosquitto_connect_callback_set(client_, [](mosquitto* client, void*, int) {
      mosquitto_subscribe(client, nullptr, kTopic.data(), 0);
    });
    mosquitto_subscribe_callback_set(
        client_, [](mosquitto*, void* self, int, int, const int*) {
          static_cast<MosquittoSubscriber*>(self)->subscribed_ = true;
        });
    mosquitto_message_callback_set(
        client_, [](mosquitto*, void* self, const mosquitto_message* message) {
          static_cast<MosquittoSubscriber*>(self)->OnMessage(*message);
        });
    while (!subscribed_) Loop(client_, 100);
  }
  bool Receive(const OnPayload& on_payload) override {
    on_payload_ = &on_payload;
    came_ = false;
    const auto deadline = std::chrono::steady_clock::now() +
                          std::chrono::milliseconds(kIdleMillis);
    while (!came_ && std::chrono::steady_clock::now() < deadline) {
      Loop(client_, kIdleMillis);
    }
    return came_;
  }

 private:
  void OnMessage(const mosquitto_message& message) {
    came_ = true;
    (*on_payload_)({static_cast<const char*>(message.payload),
                    static_cast<size_t>(message.payloadlen)});
  }

  mosquitto* const client_;
  bool subscribed_ = false;
  bool came_ = false;
  const OnPayload* on_payload_ = nullptr;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<MosquittoPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<MosquittoSubscriber>(options);
}

void RunRelay(const RelayOptions&) { Die("start mosquitto"); }

}  // namespace fifobus::bench
