#include "broker/upgrade/state_file.h"

#include <unistd.h>

#include <string>

#include "broker/upgrade/state_descriptors.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

pb::state::Record Header(uint32_t needs) {
  pb::state::Record record;
  record.mutable_header()->set_needs(needs);
  record.mutable_header()->set_version("1.2");
  return record;
}

TEST(StateFileTest, WhatIsWrittenIsReadInItsOrder) {
  StateWriter head;
  StateWriter rest;
  head.Add(Header(1));
  pb::state::Record tap;
  tap.mutable_tap_in()->set_topic(std::string(1 << 20, 't'));
  tap.mutable_tap_in()->mutable_pipe()->set_pipe_fd(7);
  rest.Add(tap);
  head.Append(rest);
  const auto file = head.Finish();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->records, 2u);
  EXPECT_EQ(file->descriptors, std::vector<int>{7});
  auto reader = StateReader::Open(file->fd.get());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->header().version(), "1.2");
  const auto second = reader->Next();
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_EQ((*second)->tap_in().topic(), tap.tap_in().topic());
  const auto end = reader->Next();
  ASSERT_TRUE(end.ok());
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(reader->records(), 2u);
}

TEST(StateFileTest, AStateOfALaterProgramIsRefusedIfThatSaysSo) {
  StateWriter writer;
  writer.Add(Header(1000));
  const auto file = writer.Finish();
  ASSERT_TRUE(file.ok());
  const auto reader = StateReader::Open(file->fd.get());
  ASSERT_FALSE(reader.ok());
  EXPECT_NE(reader.status().message().find("fifobus 1.2 and needs format 1000"),
            std::string::npos);
}

TEST(StateFileTest, WhatIsCutOrNoStateIsRefused) {
  StateWriter writer;
  writer.Add(Header(1));
  writer.Add(Header(1));
  const auto file = writer.Finish();
  ASSERT_TRUE(file.ok());
  for (uint64_t size = file->bytes - 1; size > 0; --size) {
    ASSERT_EQ(ftruncate(file->fd.get(), static_cast<off_t>(size)), 0);
    auto reader = StateReader::Open(file->fd.get());
    absl::Status status = reader.status();
    while (status.ok()) {
      const auto record = reader->Next();
      status = record.status();
      if (record.ok() && !record->has_value()) break;
    }
    // Between two records it is only shorter, which the reply tells.
    if (size == file->bytes / 2) continue;
    EXPECT_FALSE(status.ok()) << size;
  }
  ASSERT_EQ(ftruncate(file->fd.get(), 0), 0);
  EXPECT_FALSE(StateReader::Open(file->fd.get()).ok());
}

TEST(StateFileTest, DescriptorsAreFoundHoweverDeep) {
  pb::state::Broker broker;
  EXPECT_TRUE(DescriptorsOf(broker).empty());
  broker.set_lock_fd(0);
  EXPECT_EQ(DescriptorsOf(broker), std::vector<int>{0});
  pb::state::Record session;
  session.mutable_session()->mutable_up()->set_pipe_fd(5);
  session.mutable_session()->mutable_down()->set_pipe_fd(6);
  EXPECT_EQ(DescriptorsOf(session), (std::vector<int>{5, 6}));
}

}  // namespace
}  // namespace fifobus
