// Redis pub/sub over a unix socket, through hiredis. The address is the socket.
//
// Settings: persistence off; no limit on a subscriber's output buffer, whose
// default of 32 MB would cut slow ones off; a gathering publisher pipelines its
// commands, 64 KiB of them before it reads the answers.
#include <hiredis/hiredis.h>
#include <sys/time.h>

#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

constexpr size_t kPipelineBytes = size_t{64} << 10;

redisContext* Connect(const LoadOptions& options) {
  redisContext* context = redisConnectUnix(options.address.c_str());
  if (context == nullptr || context->err != 0) Die("redis: cannot connect");
  return context;
}

class RedisPublisher : public Publisher {
 public:
  explicit RedisPublisher(const LoadOptions& options)
      : context_(Connect(options)), batch_(options.batch) {}
  void Publish(std::string_view payload) override {
    redisAppendCommand(context_, "PUBLISH %b %b", kTopic.data(), kTopic.size(),
                       payload.data(), payload.size());
    ++unanswered_;
    gathered_bytes_ += payload.size() + 40;
    if (!batch_ || gathered_bytes_ >= kPipelineBytes) Flush();
  }
  void Flush() override {
    for (; unanswered_ > 0; --unanswered_) {
      redisReply* reply = nullptr;
      if (redisGetReply(context_, reinterpret_cast<void**>(&reply)) !=
          REDIS_OK) {
        Die(std::string("redis: ") + context_->errstr);
      }
      freeReplyObject(reply);
    }
    gathered_bytes_ = 0;
  }

 private:
  redisContext* const context_;
  const bool batch_;
  int unanswered_ = 0;
  size_t gathered_bytes_ = 0;
};

class RedisSubscriber : public Subscriber {
 public:
  explicit RedisSubscriber(const LoadOptions& options)
      : context_(Connect(options)) {
    freeReplyObject(
        redisCommand(context_, "SUBSCRIBE %b", kTopic.data(), kTopic.size()));
    const timeval timeout = {kIdleMillis / 1000, 0};
    redisSetTimeout(context_, timeout);
  }
  bool Receive(const OnPayload& on_payload) override {
    redisReply* reply = nullptr;
    if (redisGetReply(context_, reinterpret_cast<void**>(&reply)) != REDIS_OK) {
      if (context_->err != REDIS_ERR_IO) {
        Die(std::string("redis: ") + context_->errstr);
      }
      context_->err = 0;  // it was the timeout
      return false;
    }
    const redisReply& payload = *reply->element[2];
    on_payload({payload.str, payload.len});
    freeReplyObject(reply);
    return true;
  }

 private:
  redisContext* const context_;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<RedisPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<RedisSubscriber>(options);
}

void RunRelay(const RelayOptions&) { Die("start redis-server"); }

}  // namespace fifobus::bench
