// Redis streams over a unix socket, through hiredis. The address is the socket.
//
// Settings: appendonly with `appendfsync always`, so that an answer to XADD
// comes after the fsync; publishers pipeline what they have in flight; the
// reader asks for 1000 entries at a time.
#include <hiredis/hiredis.h>

#include "bench/durable/storage.h"

namespace fifobus::bench {
namespace {

redisContext* Connect(const std::string& address) {
  redisContext* context = redisConnectUnix(address.c_str());
  if (context == nullptr || context->err != 0) Die("redis: cannot connect");
  return context;
}

class RedisStorer : public Storer {
 public:
  explicit RedisStorer(const std::string& address)
      : context_(Connect(address)) {}
  void Send(std::string_view payload) override {
    redisAppendCommand(context_, "XADD load * p %b", payload.data(),
                       payload.size());
  }
  void Flush() override {
    for (int done = 0; done == 0;) {
      if (redisBufferWrite(context_, &done) != REDIS_OK) Fail();
    }
  }
  size_t Await() override {
    redisReply* reply = nullptr;
    if (redisGetReply(context_, reinterpret_cast<void**>(&reply)) != REDIS_OK) {
      Fail();
    }
    size_t confirmed = 1;
    Free(reply);
    // What has come with it.
    while (redisReaderGetReply(context_->reader,
                               reinterpret_cast<void**>(&reply)) == REDIS_OK &&
           reply != nullptr) {
      ++confirmed;
      Free(reply);
    }
    return confirmed;
  }

 private:
  [[noreturn]] void Fail() { Die(std::string("redis: ") + context_->errstr); }
  static void Free(redisReply* reply) {
    if (reply->type == REDIS_REPLY_ERROR) Die(reply->str);
    freeReplyObject(reply);
  }

  redisContext* const context_;
};

class RedisReplayer : public Replayer {
 public:
  explicit RedisReplayer(const std::string& address)
      : context_(Connect(address)) {}
  void Receive(const OnStored& on_stored) override {
    auto* const reply = static_cast<redisReply*>(
        redisCommand(context_, "XREAD COUNT 1000 BLOCK 60000 STREAMS load %s",
                     last_.c_str()));
    if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY) {
      Die("redis: nothing to read");
    }
    const redisReply& entries = *reply->element[0]->element[1];
    for (size_t i = 0; i < entries.elements; ++i) {
      const redisReply& entry = *entries.element[i];
      const redisReply& payload = *entry.element[1]->element[1];
      on_stored({payload.str, payload.len});
      last_.assign(entry.element[0]->str, entry.element[0]->len);
    }
    freeReplyObject(reply);
  }

 private:
  redisContext* const context_;
  std::string last_ = "0";
};

}  // namespace

std::unique_ptr<Storer> MakeStorer(const std::string& address, size_t) {
  return std::make_unique<RedisStorer>(address);
}

std::unique_ptr<Replayer> MakeReplayer(const std::string& address) {
  return std::make_unique<RedisReplayer>(address);
}

}  // namespace fifobus::bench
