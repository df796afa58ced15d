#ifndef FIFOBUS_TESTS_SUPPORT_FILLED_STATE_H_
#define FIFOBUS_TESTS_SUPPORT_FILLED_STATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

// State messages with every field set, by reflection: a field that is added
// later is set as well.
namespace fifobus {

// Fills messages. Each number is greater than the one before, by ten, and so is
// each text. Enums take their values in turn, and so do the members of a
// oneof; kRounds fillers reach all of both. Thread-compatible.
class StateFiller {
 public:
  static constexpr int kRounds = 8;

  explicit StateFiller(int round) : round_(round) {}

  // The values of a field, by its full name behind "fifobus.pb.state.", where
  // not any would do.
  void SetText(const std::string& field, std::function<std::string()> value) {
    texts_["fifobus.pb.state." + field] = std::move(value);
  }
  void SetNumber(const std::string& field, std::function<uint64_t()> value) {
    numbers_["fifobus.pb.state." + field] = std::move(value);
  }

  // Called with each message of the type when it is filled.
  void SetAfter(const std::string& type,
                std::function<void(google::protobuf::Message&)> change) {
    after_["fifobus.pb.state." + type] = std::move(change);
  }

  uint64_t NextNumber() { return next_ += 10; }
  int round() const { return round_; }

  void Fill(google::protobuf::Message& message) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const google::protobuf::FieldDescriptor& field = *type.field(i);
      const auto* const oneof = field.real_containing_oneof();
      if (oneof != nullptr &&
          field.index_in_oneof() != round_ % oneof->field_count()) {
        continue;
      }
      FillField(message, field);
      if (field.is_repeated()) FillField(message, field);
    }
    const auto after = after_.find(type.full_name());
    if (after != after_.end()) after->second(message);
  }

 private:
  using Field = google::protobuf::FieldDescriptor;

  void FillField(google::protobuf::Message& message, const Field& field) {
    const google::protobuf::Reflection& set = *message.GetReflection();
    const bool many = field.is_repeated();
    switch (field.cpp_type()) {
      case Field::CPPTYPE_MESSAGE:
        return Fill(many ? *set.AddMessage(&message, &field)
                         : *set.MutableMessage(&message, &field));
      case Field::CPPTYPE_STRING:
        return many ? set.AddString(&message, &field, Text(field))
                    : set.SetString(&message, &field, Text(field));
      case Field::CPPTYPE_ENUM:
        return many ? set.AddEnum(&message, &field, Value(field))
                    : set.SetEnum(&message, &field, Value(field));
      case Field::CPPTYPE_BOOL:
        return many ? set.AddBool(&message, &field, Flag(field))
                    : set.SetBool(&message, &field, Flag(field));
      case Field::CPPTYPE_UINT64:
        return many ? set.AddUInt64(&message, &field, Number(field))
                    : set.SetUInt64(&message, &field, Number(field));
      case Field::CPPTYPE_INT64:
        return many ? set.AddInt64(&message, &field, Signed(field))
                    : set.SetInt64(&message, &field, Signed(field));
      case Field::CPPTYPE_UINT32:
        return many ? set.AddUInt32(&message, &field, Small(field))
                    : set.SetUInt32(&message, &field, Small(field));
      case Field::CPPTYPE_INT32:
        return many ? set.AddInt32(&message, &field, Small(field))
                    : set.SetInt32(&message, &field, Small(field));
      default:
        FAIL() << field.full_name() << " has a type that nobody fills";
    }
  }

  std::string Text(const Field& field) {
    const auto value = texts_.find(field.full_name());
    if (value != texts_.end()) return value->second();
    // In the order of the numbers.
    return fmt::format("text{:06}", NextNumber());
  }
  uint64_t Number(const Field& field) {
    const auto value = numbers_.find(field.full_name());
    return value != numbers_.end() ? value->second() : NextNumber();
  }
  bool Flag(const Field& field) {
    const auto value = numbers_.find(field.full_name());
    return value == numbers_.end() || value->second() != 0;
  }
  int64_t Signed(const Field& field) {
    return static_cast<int64_t>(Number(field));
  }
  int32_t Small(const Field& field) {
    return static_cast<int32_t>(Number(field));
  }
  // Not the first, which means that nothing is said.
  const google::protobuf::EnumValueDescriptor* Value(const Field& field) {
    const auto value = numbers_.find(field.full_name());
    if (value != numbers_.end()) {
      return field.enum_type()->FindValueByNumber(
          static_cast<int>(value->second()));
    }
    const int values = field.enum_type()->value_count();
    return field.enum_type()->value(1 + (round_ + enums_++) % (values - 1));
  }

  const int round_;
  uint64_t next_ = 0;
  int enums_ = 0;
  std::map<std::string, std::function<std::string()>> texts_;
  std::map<std::string, std::function<uint64_t()>> numbers_;
  std::map<std::string, std::function<void(google::protobuf::Message&)>> after_;
};

// All messages that the type refers to, and itself.
inline void AddTypes(const google::protobuf::Descriptor& type,
                     std::set<std::string>& names) {
  if (!names.insert(type.full_name()).second) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::Descriptor* const inner =
        type.field(i)->message_type();
    if (inner != nullptr) AddTypes(*inner, names);
  }
}

// The losses of a gap by topic have no order.
inline void ExpectSameState(const google::protobuf::Message& expected,
                            const google::protobuf::Message& actual) {
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  differencer.TreatAsSet(
      google::protobuf::DescriptorPool::generated_pool()->FindFieldByName(
          "fifobus.pb.state.GapLedger.Losses.by_topic"));
  EXPECT_TRUE(differencer.Compare(expected, actual))
      << expected.GetDescriptor()->full_name() << ":\n"
      << report;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_FILLED_STATE_H_
