#include "clients/cli/bridge/bridge_config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "clients/cli/bridge/map_conflicts.h"
#include "clients/cli/bridge/text.h"
#include "clients/cli/bridge/toml_table.h"
#include "fmt/format.h"
#include "proto/topic.h"
#include "toml++/toml.h"

namespace fifobus::bridge {
namespace {

// What one map may have on its way. A client may await 65536 confirmations, and a
// map that comes back after an outage has several windows of them: StreamIn.
constexpr uint64_t kWindowMessagesMost = 8192;
constexpr uint64_t kWindowBytesMost = uint64_t{1} << 30;

// A level of a topic, without wildcards.
bool IsLevel(std::string_view text) {
  return text.find('/') == std::string_view::npos &&
         CheckTopicToPublish(text) == TopicFault::kNone;
}

// What JetStream takes as the name of a stream or a consumer: ADR-6 of NATS.
bool IsJetStreamName(std::string_view text) {
  return !text.empty() && SubjectFault(text).empty() &&
         text.find_first_of(".*>/\\") == std::string_view::npos;
}

// Reads the file into a configuration, and notes what is wrong.
class Reader {
 public:
  explicit Reader(const std::string& path) { read_.config.path = path; }

  ReadBridgeConfig Read(const toml::table& table) {
    TomlTable top(path(), table, read_.faults);
    TakeTop(top);
    TakeMaps(table, "out", /*is_out=*/true);
    TakeMaps(table, "in", /*is_out=*/false);
    if (config().maps.empty() && read_.faults.empty()) {
      top.Fault("[[out]]", "or [[in]] is missing: there is nothing to bridge");
    }
    // Each map by itself is right, so that what they do together can be judged.
    if (read_.faults.empty()) {
      for (std::string& fault : MapConflicts(config())) {
        read_.faults.push_back(std::move(fault));
      }
    }
    return std::move(read_);
  }

 private:
  BridgeConfig& config() { return read_.config; }
  const std::string& path() { return read_.config.path; }

  void TakeTop(TomlTable& top);
  void TakeNats(TomlTable& nats);
  void TakeMaps(const toml::table& table, std::string_view key, bool is_out);
  void TakeMap(TomlTable& map, bool is_out);
  void TakeOut(TomlTable& map, MapConfig& to);
  void TakeIn(TomlTable& map, MapConfig& to);
  void TakeWindow(TomlTable& map, MapConfig& to);
  void TakeNames(TomlTable& map, MapConfig& to);
  void TakeStream(TomlTable& map, MapConfig& to);
  void TakeLimits(TomlTable& map, MapConfig& to);
  void TakeConsumer(TomlTable& map, MapConfig& to);
  void TakeFile(TomlTable& table, std::string_view key, bool is_secret,
                std::string& value);

  ReadBridgeConfig read_;
};

void Reader::TakeTop(TomlTable& top) {
  top.Text("origin", config().origin);
  if (!IsLevel(config().origin) || config().origin == "nats") {
    top.Fault("origin",
              "must name this bridge by one level of a topic, such as "
              "\"edge1\", and not \"nats\"");
  }
  top.Text("dead-topic", config().dead_topic);
  if (CheckTopicToPublish(config().dead_topic) != TopicFault::kNone) {
    top.Fault("dead-topic",
              "must be a topic; one that begins with $ is the "
              "broker's own");
  }
  config().status_topic = Concat("bridge/status/", config().origin);
  top.Text("status-topic", config().status_topic);
  if (!config().status_topic.empty() &&
      CheckTopicToPublish(config().status_topic) != TopicFault::kNone) {
    top.Fault("status-topic", "must be a topic, or \"\" for none");
  }
  top.Duration("state-interval", absl::Milliseconds(100),
               config().state_interval);
  config().nats.client_name = Concat("fifobus bridge ", config().origin);
}

void Reader::TakeFile(TomlTable& table, std::string_view key, bool is_secret,
                      std::string& value) {
  table.Text(key, value);
  if (value.empty()) return;
  if (value.front() != '/') {
    const size_t slash = path().rfind('/');
    if (slash != std::string::npos) value = path().substr(0, slash + 1) + value;
  }
  struct stat about = {};
  if (stat(value.c_str(), &about) != 0 || access(value.c_str(), R_OK) != 0) {
    table.Fault(key, fmt::format("names {}, which cannot be read", value));
  } else if (is_secret && (about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    table.Fault(
        key, fmt::format("names {}, which others may read: chmod 600", value));
  }
}

void Reader::TakeNats(TomlTable& nats) {
  NatsOptions& to = config().nats;
  nats.Texts("servers", to.servers);
  if (to.servers.empty()) {
    nats.Fault("servers", "is missing: [\"nats://HOST:4222\"]");
  }
  for (const std::string& server : to.servers) {
    if (server.find('@') != std::string::npos) {
      nats.Fault("servers",
                 "has a secret in it; it belongs in a file: "
                 "credentials-file, nkey-file, password-file or "
                 "token-file");
    } else if (!server.starts_with("nats://") &&
               !server.starts_with("tls://")) {
      nats.Fault("servers",
                 "are each \"nats://HOST:PORT\" or "
                 "\"tls://HOST:PORT\"");
    }
    to.tls = to.tls || server.starts_with("tls://");
  }
  TakeFile(nats, "credentials-file", /*is_secret=*/true, to.credentials_file);
  nats.Text("nkey", to.nkey);
  TakeFile(nats, "nkey-file", /*is_secret=*/true, to.nkey_file);
  nats.Text("user", to.user);
  TakeFile(nats, "password-file", /*is_secret=*/true, to.password_file);
  TakeFile(nats, "token-file", /*is_secret=*/true, to.token_file);
  if (to.nkey.empty() != to.nkey_file.empty()) {
    nats.Fault("nkey", "and nkey-file, which holds its seed, go together");
  }
  if (to.user.empty() != to.password_file.empty()) {
    nats.Fault("user", "and password-file go together");
  }
  nats.Flag("tls", to.tls);
  TakeFile(nats, "tls-ca-file", /*is_secret=*/false, to.tls_ca_file);
  TakeFile(nats, "tls-cert-file", /*is_secret=*/false, to.tls_cert_file);
  TakeFile(nats, "tls-key-file", /*is_secret=*/true, to.tls_key_file);
  nats.Text("tls-host", to.tls_host);
  if (to.tls_cert_file.empty() != to.tls_key_file.empty()) {
    nats.Fault("tls-cert-file", "and tls-key-file go together");
  }
  if (!to.tls && !(to.tls_ca_file + to.tls_cert_file + to.tls_host).empty()) {
    nats.Fault("tls", "must be true for the other tls keys to count");
  }
  nats.Text("inbox-prefix", to.inbox_prefix);
  if (!SubjectFault(to.inbox_prefix).empty()) {
    nats.Fault("inbox-prefix",
               Concat(SubjectFault(to.inbox_prefix), " as a subject"));
  }
  nats.RefuseOthers("[nats]");
}

void Reader::TakeMaps(const toml::table& table, std::string_view key,
                      bool is_out) {
  TomlTable top(path(), table, read_.faults);
  if (is_out) {
    const toml::table* nats = table["nats"].as_table();
    if (nats == nullptr) {
      top.Fault("[nats]", "with the servers is missing");
    } else {
      TomlTable reader(path(), *nats, read_.faults);
      TakeNats(reader);
    }
    for (const auto& [name, node] : table) {
      constexpr std::string_view kKeys[] = {
          "origin", "dead-topic", "status-topic", "state-interval", "nats",
          "out",    "in"};
      if (std::count(std::begin(kKeys), std::end(kKeys), name.str()) == 0) {
        top.Fault(name.str(),
                  "is no key of the file; there are origin, dead-topic, "
                  "status-topic, state-interval, [nats], [[out]] and [[in]]");
      }
    }
  }
  const toml::node* node = table.get(key);
  if (node == nullptr) return;
  const toml::array* maps = node->as_array();
  if (maps == nullptr || !maps->is_array_of_tables()) {
    top.Fault(key,
              fmt::format("begins with [[{}]], in two pairs of brackets", key));
    return;
  }
  for (const toml::node& map : *maps) {
    TomlTable reader(path(), *map.as_table(), read_.faults);
    TakeMap(reader, is_out);
  }
}

void Reader::TakeNames(TomlTable& map, MapConfig& to) {
  map.Text("topic-prefix", to.names.topic_prefix);
  map.Text("subject-prefix", to.names.subject_prefix);
  if (!to.names.topic_prefix.empty() &&
      CheckTopicToPublish(to.names.topic_prefix) != TopicFault::kNone) {
    map.Fault("topic-prefix", "must be a topic, or left out");
    to.names.topic_prefix.clear();
  }
  const std::string_view fault = SubjectFault(to.names.subject_prefix);
  if (!to.names.subject_prefix.empty() && !fault.empty()) {
    map.Fault("subject-prefix", Concat(fault, " as a subject"));
    to.names.subject_prefix.clear();
  }
}

void Reader::TakeStream(TomlTable& map, MapConfig& to) {
  map.Text("stream", to.stream);
  if (!IsJetStreamName(to.stream)) {
    map.Fault("stream",
              "must name a stream, without . * > and spaces; a map "
              "without one has live = true");
  }
}

void Reader::TakeWindow(TomlTable& map, MapConfig& to) {
  uint64_t messages = to.window_messages;
  uint64_t bytes = to.window_bytes;
  map.Count("window-messages", 1, kWindowMessagesMost, messages);
  map.Bytes("window-bytes", 1024, kWindowBytesMost, bytes);
  to.window_messages = messages;
  to.window_bytes = bytes;
}

void Reader::TakeLimits(TomlTable& map, MapConfig& to) {
  uint64_t replicas = to.replicas;
  map.Count("replicas", 1, 5, replicas);
  to.replicas = static_cast<uint32_t>(replicas);
  map.Bytes("stream-bytes", 1024, INT64_MAX, to.stream_bytes_max);
  if (!to.create && (map.Has("replicas") || map.Has("stream-bytes"))) {
    map.Fault("create", "must be true for replicas and stream-bytes to count");
  }
}

void Reader::TakeOut(TomlTable& map, MapConfig& to) {
  map.Text("pattern", to.pattern);
  const TopicFault fault = CheckPattern(to.pattern);
  if (fault != TopicFault::kNone) {
    map.Fault("pattern", fmt::format("{} as a pattern of topics",
                                     PatternFaultText(fault)));
    return;
  }
  const auto filter = SubjectOf(to.names, to.pattern);
  if (!filter.ok()) {
    map.Fault("topic-prefix", "is not how the pattern begins");
    return;
  }
  to.filter = *filter;
  to.name = Concat("out ", to.pattern);
  if (IsReserved(to.filter)) {
    map.Fault("subject-prefix", "is needed for topics that begin with $");
  }
  if (to.is_live()) return;
  TakeStream(map, to);
  map.Flag("create", to.create);
  if (to.is_retained()) {
    to.name = Concat("out retained ", to.pattern);
    TakeLimits(map, to);
    TakeWindow(map, to);
    return;
  }
  to.durable = Concat("nats-", to.stream);
  map.Text("durable", to.durable);
  if (!IsLevel(to.durable)) {
    map.Fault("durable", "must be one level of a topic");
  }
  map.Flag("shared", to.shared);
  TakeLimits(map, to);
  map.Duration("stream-age", absl::Seconds(1), to.stream_age_max);
  if (!to.create && map.Has("stream-age")) {
    map.Fault("create", "must be true for stream-age to count");
  }
  TakeWindow(map, to);
}

void Reader::TakeConsumer(TomlTable& map, MapConfig& to) {
  to.consumer = config().origin;
  map.Text("consumer", to.consumer);
  const std::string publisher = Concat("nats-", to.stream, "-", to.consumer);
  if (!IsJetStreamName(to.consumer) || !IsLevel(publisher)) {
    map.Fault("consumer",
              "must name a consumer of the stream, with "
              "letters, digits, _ and - only");
  }
  to.name = Concat("in ", to.stream, "/", to.consumer);
  map.Flag("create", to.create);
  std::string level = "stored";
  map.Text("level", level);
  to.accepted_is_enough = level == "accepted";
  if (level != "stored" && level != "accepted") {
    map.Fault("level", "must be \"stored\" or \"accepted\"");
  }
  TakeWindow(map, to);
}

void Reader::TakeIn(TomlTable& map, MapConfig& to) {
  map.Text("filter", to.filter);
  if (!to.is_live()) {
    TakeStream(map, to);
    if (to.is_retained()) {
      to.name = Concat("in retained ", to.stream);
    } else {
      TakeConsumer(map, to);
    }
    if (to.filter.empty()) to.filter = ">";
  } else {
    to.name = Concat("in ", to.filter);
    if (to.filter.empty()) {
      map.Fault("filter", "is missing: the subjects to subscribe to");
      return;
    }
  }
  const auto pattern = PatternOf(to.names, to.filter);
  if (!pattern.ok()) {
    map.Fault("filter", fmt::format("\"{}\": {}", to.filter,
                                    MessageOf(pattern.status())));
    return;
  }
  to.pattern = *pattern;
  if (to.filter[0] == '$' || to.filter[0] == '*' ||
      (to.filter == ">" && to.is_live())) {
    if (to.is_live()) {
      map.Fault("filter",
                "must begin with a token that is no wildcard, and "
                "not with $");
    }
  }
}

void Reader::TakeMap(TomlTable& map, bool is_out) {
  MapConfig to;
  to.line = map.line();
  bool live = false;
  bool retained = false;
  map.Flag("live", live);
  map.Flag("retained", retained);
  if (live && retained) {
    map.Fault("retained",
              "needs a stream, which keeps the values; a live map has none");
  }
  to.kind = is_out ? (live       ? MapKind::kLiveOut
                      : retained ? MapKind::kRetainedOut
                                 : MapKind::kLogOut)
                   : (live       ? MapKind::kLiveIn
                      : retained ? MapKind::kRetainedIn
                                 : MapKind::kStreamIn);
  TakeNames(map, to);
  if (is_out) {
    TakeOut(map, to);
  } else {
    TakeIn(map, to);
  }
  map.RefuseOthers(fmt::format("a {}[[{}]]",
                               live       ? "live "
                               : retained ? "retained "
                                          : "",
                               is_out ? "out" : "in"));
  config().maps.push_back(std::move(to));
}

}  // namespace

ReadBridgeConfig ParseBridgeConfig(std::string_view text,
                                   const std::string& path) {
  try {
    return Reader(path).Read(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    ReadBridgeConfig read;
    read.faults.push_back(fmt::format(
        "{}:{}: {}", path, error.source().begin.line, error.description()));
    return read;
  }
}

ReadBridgeConfig ReadBridgeConfigFile(const std::string& path) {
  std::ifstream stream(path);
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  if (!stream.good() && text.empty()) {
    ReadBridgeConfig read;
    read.faults.push_back(path + ": the file cannot be read");
    return read;
  }
  return ParseBridgeConfig(text, path);
}

}  // namespace fifobus::bridge
