// NNG: pub0 -> device of raw sub0 and raw pub0 -> sub0 over ipc. Addresses are
// URLs.
//
// Settings: the largest queues there are (8192 messages). NNG's publishers
// never wait: what does not fit is dropped, and shows as lost.
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <time.h>

#include <algorithm>

#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

constexpr int kQueueMessages = 8192;

void Check(int result, const char* what) {
  if (result != 0) Die(std::string(what) + ": " + nng_strerror(result));
}

class NngPublisher : public Publisher {
 public:
  explicit NngPublisher(const LoadOptions& options) {
    Check(nng_pub0_open(&socket_), "pub0");
    Check(nng_socket_set_int(socket_, NNG_OPT_SENDBUF, kQueueMessages), "buf");
    Check(nng_dial(socket_, options.address.c_str(), nullptr, 0), "dial");
  }
  void Publish(std::string_view payload) override {
    nng_msg* message = nullptr;
    Check(nng_msg_alloc(&message, kTopic.size() + payload.size()), "alloc");
    char* bytes = static_cast<char*>(nng_msg_body(message));
    std::copy(kTopic.begin(), kTopic.end(), bytes);
    std::copy(payload.begin(), payload.end(), bytes + kTopic.size());
    Check(nng_sendmsg(socket_, message, 0), "send");
  }
  void Flush() override {}
  void Close() override {
    // There is no way to ask whether all is sent.
    const timespec half_a_second = {0, 500'000'000};
    nanosleep(&half_a_second, nullptr);
    nng_close(socket_);
  }

 private:
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
};

class NngSubscriber : public Subscriber {
 public:
  explicit NngSubscriber(const LoadOptions& options) {
    Check(nng_sub0_open(&socket_), "sub0");
    Check(nng_socket_set_int(socket_, NNG_OPT_RECVBUF, kQueueMessages), "buf");
    Check(nng_socket_set_ms(socket_, NNG_OPT_RECVTIMEO, kIdleMillis), "time");
    Check(nng_socket_set_size(socket_, NNG_OPT_RECVMAXSZ, 0), "size");
    Check(nng_socket_set(socket_, NNG_OPT_SUB_SUBSCRIBE, kTopic.data(),
                         kTopic.size()),
          "subscribe");
    Check(nng_dial(socket_, options.address.c_str(), nullptr, 0), "dial");
  }
  bool Receive(const OnPayload& on_payload) override {
    nng_msg* message = nullptr;
    const int result = nng_recvmsg(socket_, &message, 0);
    if (result == NNG_ETIMEDOUT) return false;
    Check(result, "recv");
    on_payload(std::string_view(static_cast<char*>(nng_msg_body(message)),
                                nng_msg_len(message))
                   .substr(kTopic.size()));
    nng_msg_free(message);
    return true;
  }

 private:
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<NngPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<NngSubscriber>(options);
}

void RunRelay(const RelayOptions& options) {
  nng_socket from = NNG_SOCKET_INITIALIZER;
  nng_socket to = NNG_SOCKET_INITIALIZER;
  Check(nng_sub0_open_raw(&from), "sub0");
  Check(nng_pub0_open_raw(&to), "pub0");
  Check(nng_socket_set_int(from, NNG_OPT_RECVBUF, kQueueMessages), "buf");
  Check(nng_socket_set_int(to, NNG_OPT_SENDBUF, kQueueMessages), "buf");
  Check(nng_socket_set_size(from, NNG_OPT_RECVMAXSZ, 0), "size");
  Check(nng_listen(from, options.from.c_str(), nullptr, 0), "listen");
  Check(nng_listen(to, options.to.c_str(), nullptr, 0), "listen");
  Check(nng_device(from, to), "device");
  Die("the device ended");
}

}  // namespace fifobus::bench
