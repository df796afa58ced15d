#include "clients/cli/inspect/stats_json.h"

#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "proto/frame.pb.h"
#include "proto/json_text.h"
#include "proto/overflow.h"

namespace fifobus::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Members of an object, `out` so far, get a comma between.
void BeginMember(std::string_view name, std::string& out) {
  if (!out.ends_with('{')) out += ',';
  AppendJsonText(name, out);
  out += ':';
}

void AppendFields(const Message& message, std::string& out);

// A value by itself: `at` is the place in a repeated field, else -1.
void AppendValue(const Message& message, const FieldDescriptor& field, int at,
                 std::string& out) {
  const Reflection& get = *message.GetReflection();
  const auto number = [&](auto one, auto each) {
    out += fmt::format("{}", at < 0 ? (get.*one)(message, &field)
                                    : (get.*each)(message, &field, at));
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return number(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return number(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_BOOL:
      return number(&Reflection::GetBool, &Reflection::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_ENUM:  // the only one there is
      return AppendJsonText(OverflowName(OverflowOf(static_cast<pb::Overflow>(
                                get.GetEnumValue(message, &field)))),
                            out);
    case FieldDescriptor::CPPTYPE_STRING:
      return AppendJsonText(at < 0 ? get.GetString(message, &field)
                                   : get.GetRepeatedString(message, &field, at),
                            out);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      out += '{';
      AppendFields(at < 0 ? get.GetMessage(message, &field)
                          : get.GetRepeatedMessage(message, &field, at),
                   out);
      out += '}';
      return;
    default:
      out += "null";  // frame.proto has no others
  }
}

void AppendField(const Message& message, const FieldDescriptor& field,
                 std::string& out) {
  BeginMember(field.name(), out);
  if (!field.is_repeated()) return AppendValue(message, field, -1, out);
  out += '[';
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int at = 0; at < size; ++at) {
    if (at > 0) out += ',';
    AppendValue(message, field, at, out);
  }
  out += ']';
}

void AppendFields(const Message& message, std::string& out) {
  const auto& descriptor = *message.GetDescriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    AppendField(message, *descriptor.field(i), out);
  }
}

}  // namespace

std::string PartJson(const Message& part, const Rates& rates) {
  std::string out = "{";
  AppendFields(part, out);
  for (const auto& [name, rate] : rates) {
    BeginMember(name, out);
    out += fmt::format("{}", rate);
  }
  out += '}';
  return out;
}

std::string StatsJson(const pb::StatsReply& stats) {
  std::string out = "{";
  for (const char* list : {"topics", "reply_topics", "forgotten_topics",
                           "sessions", "taps", "groups", "logs"}) {
    AppendField(stats, *stats.GetDescriptor()->FindFieldByName(list), out);
  }
  BeginMember("counters", out);
  out += '{';
  for (const auto& counter : stats.counters()) {
    BeginMember(counter.name(), out);
    out += fmt::format("{}", counter.value());
  }
  out += "}}";
  return out;
}

}  // namespace fifobus::cli
