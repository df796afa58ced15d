// ZeroMQ: PUB -> XSUB/XPUB proxy -> SUB over ipc. Addresses are endpoints.
//
// Settings: XPUB_NODROP on every publishing end, so that a full queue makes the
// publisher wait instead of dropping; queues of 64 MiB in messages of this load
// (the default of 1000 messages is 64 KB or 1 GB, as the size has it); the
// topic is the message's beginning, in the same frame, which the guide calls
// the efficient way. ZeroMQ gathers small messages by itself.
#include <zmq.h>

#include <algorithm>

#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

void Check(int result, const char* what) {
  if (result < 0) Die(std::string(what) + ": " + zmq_strerror(zmq_errno()));
}

void Set(void* socket, int option, int value) {
  Check(zmq_setsockopt(socket, option, &value, sizeof(value)), "setsockopt");
}

void* NewSocket(void* context, int type, size_t size) {
  void* socket = zmq_socket(context, type);
  if (socket == nullptr) Die("zmq_socket");
  const int messages = static_cast<int>(
      std::clamp<size_t>((size_t{64} << 20) / size, 16, 200'000));
  Set(socket, ZMQ_SNDHWM, messages);
  Set(socket, ZMQ_RCVHWM, messages);
  if (type == ZMQ_XPUB) Set(socket, ZMQ_XPUB_NODROP, 1);
  return socket;
}

class ZmqPublisher : public Publisher {
 public:
  explicit ZmqPublisher(const LoadOptions& options)
      : context_(zmq_ctx_new()),
        socket_(NewSocket(context_, ZMQ_XPUB, options.size)) {
    Check(zmq_connect(socket_, options.address.c_str()), "connect");
    // The proxy's subscription must have come before the first message.
    char subscription[64];
    Check(zmq_recv(socket_, subscription, sizeof(subscription), 0),
          "subscription");
  }
  void Publish(std::string_view payload) override {
    zmq_msg_t message;
    Check(zmq_msg_init_size(&message, kTopic.size() + payload.size()), "msg");
    char* bytes = static_cast<char*>(zmq_msg_data(&message));
    std::copy(kTopic.begin(), kTopic.end(), bytes);
    std::copy(payload.begin(), payload.end(), bytes + kTopic.size());
    Check(zmq_msg_send(&message, socket_, 0), "send");
  }
  void Flush() override {}
  void Close() override {
    zmq_close(socket_);
    zmq_ctx_term(context_);  // waits until all is sent
  }

 private:
  void* const context_;
  void* const socket_;
};

class ZmqSubscriber : public Subscriber {
 public:
  explicit ZmqSubscriber(const LoadOptions& options)
      : socket_(NewSocket(zmq_ctx_new(), ZMQ_SUB, options.size)) {
    Set(socket_, ZMQ_RCVTIMEO, kIdleMillis);
    Check(zmq_connect(socket_, options.address.c_str()), "connect");
    Check(zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, kTopic.data(), kTopic.size()),
          "subscribe");
    zmq_msg_init(&message_);
  }
  bool Receive(const OnPayload& on_payload) override {
    if (zmq_msg_recv(&message_, socket_, 0) < 0) return false;
    on_payload(std::string_view(static_cast<char*>(zmq_msg_data(&message_)),
                                zmq_msg_size(&message_))
                   .substr(kTopic.size()));
    return true;
  }

 private:
  void* const socket_;
  zmq_msg_t message_;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<ZmqPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<ZmqSubscriber>(options);
}

void RunRelay(const RelayOptions& options) {
  void* context = zmq_ctx_new();
  // What size the messages have is not known here: queues for 1 KiB.
  void* from = NewSocket(context, ZMQ_XSUB, 1024);
  void* to = NewSocket(context, ZMQ_XPUB, 1024);
  Check(zmq_bind(from, options.from.c_str()), "bind");
  Check(zmq_bind(to, options.to.c_str()), "bind");
  zmq_proxy(from, to, nullptr);
  Die("the proxy ended");
}

}  // namespace fifobus::bench
