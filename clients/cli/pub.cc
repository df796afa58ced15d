#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "clients/cli/command.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct PubOptions {
  BusOptions bus;
  std::string topic;
  std::optional<std::string> message;
  bool raw = false;
};

// Publishes one after the other, numbered and stamped.
class Publisher {
 public:
  Publisher(Client& client, std::string topic)
      : client_(client), topic_(std::move(topic)) {}

  absl::Status Publish(std::string_view payload) {
    MessageFields message;
    message.topic = topic_;
    message.payload = payload;
    message.sequence = ++sequence_;
    message.publish_time_unix_nanos =
        static_cast<uint64_t>(absl::GetCurrentTimeNanos());
    return Report(client_.Publish(message));
  }

  // What a batch has gathered goes out now.
  absl::Status Flush() { return Report(client_.Flush()); }

 private:
  absl::Status Report(PublishOutcome outcome) const {
    switch (outcome) {
      case PublishOutcome::kSent:
        return absl::OkStatus();
      case PublishOutcome::kSentAfterGap:
        fmt::print(stderr,
                   "fifobus: the broker was restarted; an unknown number of "
                   "the messages before {} is lost\n",
                   sequence_);
        return absl::OkStatus();
      default:
        return client_.status();
    }
  }

  Client& client_;
  const std::string topic_;
  uint64_t sequence_ = 0;
};

absl::StatusOr<size_t> ReadInput(char* buffer, size_t size) {
  while (true) {
    const ssize_t bytes = read(STDIN_FILENO, buffer, size);
    if (bytes >= 0) return static_cast<size_t>(bytes);
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "standard input");
  }
}

// What is there is published as one batch, so that neither a slow writer waits
// for its lines to go out nor a fast one pays a system call for each.
absl::Status PublishLines(Client& client, Publisher& publisher) {
  std::string pending;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = ReadInput(buffer.data(), buffer.size());
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) break;
    pending.append(buffer.data(), *bytes);
    std::string_view lines = pending;
    const Batch batch(client);
    for (size_t end; (end = lines.find('\n')) != std::string_view::npos;) {
      const absl::Status status = publisher.Publish(lines.substr(0, end));
      if (!status.ok()) return status;
      lines.remove_prefix(end + 1);
    }
    pending.erase(0, pending.size() - lines.size());
    const absl::Status status = publisher.Flush();
    if (!status.ok()) return status;
  }
  return pending.empty() ? absl::OkStatus() : publisher.Publish(pending);
}

absl::Status PublishAll(Publisher& publisher) {
  std::string all;
  std::array<char, 65536> buffer;
  while (true) {
    const auto bytes = ReadInput(buffer.data(), buffer.size());
    if (!bytes.ok()) return bytes.status();
    if (*bytes == 0) return publisher.Publish(all);
    all.append(buffer.data(), *bytes);
  }
}

Exit Pub(const PubOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus pub");
  if (!client.ok()) return Fail(client.status());
  Publisher publisher(**client, options.topic);
  absl::Status status;
  if (options.message) {
    status = publisher.Publish(*options.message);
  } else if (options.raw) {
    status = PublishAll(publisher);
  } else {
    status = PublishLines(**client, publisher);
  }
  return status.ok() ? kDone : Fail(status);
}

}  // namespace

void AddPub(CLI::App& app, Exit& exit) {
  CLI::App& pub = *app.add_subcommand("pub", "publish messages");
  auto options = std::make_shared<PubOptions>();
  options->bus.AddTo(pub);
  pub.add_option("TOPIC", options->topic, "such as sensors/kitchen/temp")
      ->required();
  CLI::Option* message =
      pub.add_option("MESSAGE", options->message,
                     "the payload; without it each line of standard input is "
                     "one message");
  pub.add_flag("--raw", options->raw, "all of standard input is one message")
      ->excludes(message);
  pub.callback([options, &exit] { exit = Pub(*options); });
}

}  // namespace fifobus::cli
