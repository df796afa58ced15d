#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_CONFIG_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cli/bridge/subject_names.h"

// What a bridge is told by its file; BRIDGE.md explains the keys.
namespace fifobus::bridge {

// How the servers are reached. What is secret stands in files of its own.
struct NatsOptions {
  std::vector<std::string> servers;  // "nats://HOST:PORT" or "tls://..."
  std::string credentials_file;      // of a JWT and its key
  std::string nkey;                  // public; its seed is in the file
  std::string nkey_file;
  std::string user;
  std::string password_file;
  std::string token_file;
  bool tls = false;
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_host;
  // Below it are the subjects that answers come to.
  std::string inbox_prefix = "_INBOX";
  std::string client_name;
};

enum class MapKind {
  kLogOut,       // a log, to a stream
  kLiveOut,      // what is published, to subjects
  kRetainedOut,  // retained values, to a stream of last values
  kStreamIn,     // a stream's consumer, to a log
  kLiveIn,       // subjects, to topics
  kRetainedIn,   // a stream's last values, to retained values
};

struct MapConfig {
  bool is_out() const {
    return kind == MapKind::kLogOut || kind == MapKind::kLiveOut ||
           kind == MapKind::kRetainedOut;
  }
  bool is_live() const {
    return kind == MapKind::kLiveOut || kind == MapKind::kLiveIn;
  }

  MapKind kind = MapKind::kLogOut;
  int line = 0;  // where it stands in the file
  bool is_retained() const {
    return kind == MapKind::kRetainedOut || kind == MapKind::kRetainedIn;
  }
  bool writes_stream() const {
    return kind == MapKind::kLogOut || kind == MapKind::kRetainedOut;
  }

  // For people: "out orders/**", "in ORDERS/edge1", "out retained state/**".
  std::string name;
  NameMap names;
  // What is read on the bus, or what may be published there.
  std::string pattern;
  // What is published to NATS, or what is read there.
  std::string filter;

  std::string stream;
  // kLogOut: the durable reader of the log.
  std::string durable;
  // kStreamIn: the durable consumer of the stream.
  std::string consumer;
  // Makes the stream or the consumer if there is none.
  bool create = false;
  // Of a stream that is made.
  uint32_t replicas = 1;
  uint64_t stream_bytes_max = 0;
  absl::Duration stream_age_max = absl::ZeroDuration();
  // kLogOut: others write to the stream as well.
  bool shared = false;
  // kStreamIn: a message is done when the bus has accepted it; no log is needed.
  bool accepted_is_enough = false;
  // What is on its way and not acknowledged. 256 messages of 1 KiB fill a link of
  // 100 Mbit/s and 20 ms. Not tuned.
  size_t window_messages = 256;
  size_t window_bytes = size_t{8} << 20;
};

struct BridgeConfig {
  std::string path;
  // Names this bridge in Fifobus-Origin: one level of a topic.
  std::string origin;
  // Where messages go that the other side does not take.
  std::string dead_topic = "bridge/dead";
  // Its state is published here, retained, as JSON. Empty: nowhere.
  std::string status_topic;
  absl::Duration state_interval = absl::Seconds(10);
  NatsOptions nats;
  std::vector<MapConfig> maps;
};

// A configuration, and one line for each thing that is wrong with it:
// "FILE:LINE: KEY ...". It can be used if there is none.
struct ReadBridgeConfig {
  BridgeConfig config;
  std::vector<std::string> faults;
};
ReadBridgeConfig ReadBridgeConfigFile(const std::string& path);
// `path` is for the faults, and the folder of files that are named without one.
ReadBridgeConfig ParseBridgeConfig(std::string_view text,
                                   const std::string& path);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_BRIDGE_CONFIG_H_
