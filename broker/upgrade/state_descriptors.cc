#include "broker/upgrade/state_descriptors.h"

#include <string>

#include "google/protobuf/descriptor.h"

namespace fifobus {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void Collect(const Message& state, std::vector<int>& descriptors) {
  const Reflection& reflection = *state.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(state, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 &&
        !field->is_repeated() && field->name().ends_with("_fd")) {
      descriptors.push_back(reflection.GetInt32(state, field));
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      Collect(reflection.GetMessage(state, field), descriptors);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(state, field); ++i) {
      Collect(reflection.GetRepeatedMessage(state, field, i), descriptors);
    }
  }
}

}  // namespace

std::vector<int> DescriptorsOf(const Message& state) {
  std::vector<int> descriptors;
  Collect(state, descriptors);
  return descriptors;
}

}  // namespace fifobus
