#include "broker/bus/retained_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "broker/bus/last_file.h"
#include "broker/state/retained_state.pb.h"
#include "gtest/gtest.h"
#include "proto/expiry.h"
#include "tests/support/core_fakes.h"
#include "tests/support/pipe_support.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTime = 1'700'000'000'123'456'789;

std::string FrameOf(const MessageFields& fields) {
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

class RetainedFilesTest : public testing::Test {
 protected:
  RetainedFilesTest() : bus_(*BusDirectory::Open(dir_.path())) { Start(); }

  // As a broker that stops, and the next.
  void Stop() {
    files_.reset();
    store_.reset();
  }
  void Start() {
    Stop();
    store_ = std::make_unique<RetainedStore>(options_, counters_);
    files_ = *RetainedFiles::Open(*bus_, *store_, options_, counters_);
  }

  void Retain(const MessageFields& fields) {
    const std::string frame = FrameOf(fields);
    RetainedStore::Transaction transaction(*store_);
    EXPECT_NE(transaction.Keep(frame, ReadMessageFrame(frame), /*history=*/0),
              RetainedStore::Kept::kRefused);
  }
  void Retain(std::string_view topic, std::string_view payload) {
    MessageFields fields;
    fields.topic = topic;
    fields.payload = payload;
    fields.retain = true;
    Retain(fields);
  }

  std::vector<pb::Message> Restored() {
    std::vector<pb::Message> messages;
    RetainedStore::Transaction transaction(*store_);
    transaction.Replay("**",
                       [&](const std::string&, const RetainedValue& value) {
                         messages.push_back(Parse(value.frame()).message());
                       });
    return messages;
  }

  std::string Path(const std::string& name) const {
    return dir_.path() + "/topics/" + name;
  }
  std::string Content(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void WriteFile(const std::string& name, std::string_view content) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << content;
  }

  const TempDir dir_;
  const std::unique_ptr<BusDirectory> bus_;
  BrokerOptions options_;
  Counters counters_;
  std::unique_ptr<RetainedStore> store_;
  std::unique_ptr<RetainedFiles> files_;
};

TEST_F(RetainedFilesTest, AFileHoldsExactlyThePayload) {
  const std::string payload("21.5 degrees\n\0and binary", 24);
  Retain("house/kitchen/temperature", payload);
  EXPECT_TRUE(WaitUntil(
      [&] { return Content("house/kitchen/temperature.last") == payload; }));
  const auto mode = fs::status(Path("house/kitchen/temperature.last"));
  EXPECT_EQ(mode.permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(RetainedFilesTest, TheNextBrokerHasTheValuesWithTheirMetadata) {
  const HeaderView headers[] = {{"unit", "C"}, {"unit", "\xff"}};
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = "value";
  fields.sequence = 7;
  fields.publish_time_unix_nanos = kTime;
  fields.reply_topic = "reply/here";
  fields.content_type = "text/plain";
  fields.expiry_unix_nanos = uint64_t{1} << 62;
  fields.headers = headers;
  fields.retain = true;
  Retain(fields);
  Stop();
  if (getxattr(Path("a/b.last").c_str(), "user.fifobus.message", nullptr, 0) <
      0) {
    GTEST_SKIP() << "this file system has no user attributes";
  }
  Start();
  const auto restored = Restored();
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_EQ(restored[0].SerializeAsString(),
            Parse(FrameOf(fields)).message().SerializeAsString());
}

TEST_F(RetainedFilesTest, WithoutAnAttributeTheFilesTimeIsThePublishTime) {
  Stop();
  WriteFile("by/hand.last", "written by a person\n");
  const timespec times[2] = {{0, UTIME_NOW}, {1'700'000'000, 123'456'789}};
  ASSERT_EQ(utimensat(AT_FDCWD, Path("by/hand.last").c_str(), times, 0), 0);
  Start();
  const auto restored = Restored();
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_EQ(restored[0].topic(), "by/hand");
  EXPECT_EQ(restored[0].payload(), "written by a person\n");
  EXPECT_EQ(restored[0].publish_time_unix_nanos(), kTime);
  EXPECT_TRUE(restored[0].retain());
}

TEST_F(RetainedFilesTest, WhatIsClearedIsUnlinked) {
  Retain("a", "1");
  EXPECT_TRUE(WaitUntil([&] { return fs::exists(Path("a.last")); }));
  Retain("a", "");
  EXPECT_TRUE(WaitUntil([&] { return !fs::exists(Path("a.last")); }));
  Start();
  EXPECT_TRUE(Restored().empty());
}

TEST_F(RetainedFilesTest, AnOrderlyEndWritesWhatIsLeft) {
  options_.retained_write_interval = kHang;
  Start();
  Retain("first", "is written at once");
  EXPECT_TRUE(WaitUntil([&] { return fs::exists(Path("first.last")); }));
  for (int i = 0; i <= 1000; ++i) Retain("a", std::to_string(i));
  Retain("first", "");
  Stop();
  EXPECT_EQ(Content("a.last"), "1000");
  EXPECT_FALSE(fs::exists(Path("first.last")));
}

TEST_F(RetainedFilesTest, AReaderSeesTheOldOrTheNewAndNothingBetween) {
  options_.retained_write_interval = absl::ZeroDuration();
  Start();
  const std::string a(100'000, 'a');
  const std::string b(50'000, 'b');
  Retain("t", a);
  ASSERT_TRUE(WaitUntil([&] { return fs::exists(Path("t.last")); }));
  for (int i = 0; i < 200; ++i) {
    Retain("t", i % 2 == 0 ? b : a);
    const std::string content = Content("t.last");
    ASSERT_TRUE(content == a || content == b) << content.size();
  }
}

TEST_F(RetainedFilesTest, WhatHasExpiredIsNotRestored) {
  MessageFields fields;
  fields.topic = "old";
  fields.payload = "x";
  fields.retain = true;
  fields.expiry_unix_nanos = kTime;
  Retain(fields);
  Stop();
  if (getxattr(Path("old.last").c_str(), "user.fifobus.message", nullptr, 0) <
      0) {
    GTEST_SKIP() << "this file system has no user attributes";
  }
  Start();
  EXPECT_TRUE(Restored().empty());
  EXPECT_FALSE(fs::exists(Path("old.last")));
}

TEST_F(RetainedFilesTest, WhatIsNoValueIsRefusedAndCounted) {
  Stop();
  WriteFile("elsewhere", "secret");
  WriteFile("bad name.last", "x");
  WriteFile("$sys/x.last", "x");
  WriteFile("large.last", "x");
  fs::resize_file(Path("large.last"), options_.frame_bytes_max + 1);
  fs::create_symlink(Path("elsewhere"), Path("link.last"));
  MakeFifo(Path("fifo.last"));
  fs::create_directories(Path("folder.last/inner"));
  WriteFile("good.last", "x");
  Start();
  const auto restored = Restored();
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_EQ(restored[0].topic(), "good");
  EXPECT_EQ(counters_.names_refused.value(), 6u);
}

TEST_F(RetainedFilesTest, ABadAttributeIsRefused) {
  Stop();
  WriteFile("a.last", "x");
  pb::Message message;
  message.set_content_type("not\nprintable");
  const std::string bytes = message.SerializeAsString();
  if (setxattr(Path("a.last").c_str(), "user.fifobus.message", bytes.data(),
               bytes.size(), 0) != 0) {
    GTEST_SKIP() << "this file system has no user attributes";
  }
  Start();
  EXPECT_TRUE(Restored().empty());
  EXPECT_EQ(counters_.names_refused.value(), 1u);
}

TEST_F(RetainedFilesTest, WhatAKilledBrokerHasBegunIsRemoved) {
  Stop();
  WriteFile(".a.last", "half of a va");
  Start();
  EXPECT_TRUE(Restored().empty());
  EXPECT_FALSE(fs::exists(Path(".a.last")));
  WriteFile(".b.last", "in the way");
  Retain("b", "1");
  EXPECT_TRUE(WaitUntil([&] { return Content("b.last") == "1"; }));
}

TEST_F(RetainedFilesTest, AValueThatCannotBeWrittenIsNotReplacedByAnOlderOne) {
  Retain("a", "old");
  EXPECT_TRUE(WaitUntil([&] { return Content("a.last") == "old"; }));
  // Where the draft goes, nothing can be made.
  fs::create_directories(Path(".a.last/in the way"));
  Retain("a", "new");
  EXPECT_TRUE(
      WaitUntil([&] { return counters_.retained_write_errors.value() == 1; }));
  EXPECT_TRUE(WaitUntil([&] { return !fs::exists(Path("a.last")); }));
  // The next broker has none rather than the older one.
  Start();
  EXPECT_TRUE(Restored().empty());
}

TEST_F(RetainedFilesTest, WhatCouldNotBeWrittenIsTriedAgainWhileItIsNewest) {
  fs::create_directories(Path(".a.last/in the way"));
  fs::create_directories(Path(".b.last/in the way"));
  Retain("a", "newest");
  Retain("b", "older");
  EXPECT_TRUE(
      WaitUntil([&] { return counters_.retained_write_errors.value() == 2; }));
  fs::remove_all(Path(".b.last"));
  Retain("b", "newest");
  EXPECT_TRUE(WaitUntil([&] { return Content("b.last") == "newest"; }));
  fs::remove_all(Path(".a.last"));
  EXPECT_TRUE(WaitUntil([&] { return Content("a.last") == "newest"; }));
  EXPECT_EQ(Content("b.last"), "newest");
  EXPECT_EQ(counters_.retained_write_errors.value(), 2u);
}

TEST_F(RetainedFilesTest, NothingIsWrittenThroughALink) {
  const TempDir elsewhere;
  fs::create_directory_symlink(elsewhere.path(), Path("a"));
  Retain("a/b", "1");
  EXPECT_TRUE(
      WaitUntil([&] { return counters_.retained_write_errors.value() == 1; }));
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
  // The others are not harmed.
  Retain("c", "1");
  EXPECT_TRUE(WaitUntil([&] { return Content("c.last") == "1"; }));
}

TEST_F(RetainedFilesTest, ExpiredValuesAreForgottenAndTheirFilesRemoved) {
  MessageFields fields;
  fields.payload = "x";
  fields.retain = true;
  for (const bool soon : {true, false}) {
    fields.topic = soon ? "soon" : "later";
    fields.expiry_unix_nanos =
        UnixNanosNow() + uint64_t{soon ? 1u : 3600u} * 1'000'000'000;
    Retain(fields);
  }
  Retain("always", "x");
  EXPECT_TRUE(WaitUntil([&] { return fs::exists(Path("later.last")); }));
  EXPECT_TRUE(WaitUntil([&] { return store_->topics() == 2; }));
  EXPECT_TRUE(WaitUntil([&] { return !fs::exists(Path("soon.last")); }));
  EXPECT_TRUE(fs::exists(Path("later.last")));
  EXPECT_TRUE(fs::exists(Path("always.last")));
}

TEST_F(RetainedFilesTest, ValuesOfTheBrokerBeforeExpireToo) {
  MessageFields fields;
  fields.topic = "soon";
  fields.payload = "x";
  fields.retain = true;
  fields.expiry_unix_nanos = UnixNanosNow() + uint64_t{2} * 1'000'000'000;
  Retain(fields);
  Start();
  EXPECT_TRUE(WaitUntil([&] { return store_->topics() == 0; }));
  EXPECT_TRUE(WaitUntil([&] { return !fs::exists(Path("soon.last")); }));
}

// As an upgrade does: the next broker takes over what this one has, while the
// thread of this one rests.
TEST_F(RetainedFilesTest, AnUpgradeTakesOverWhatWasNotWritten) {
  Retain("written", "1");
  ASSERT_TRUE(WaitUntil([&] { return Content("written.last") == "1"; }));
  Retain("cleared", "1");
  ASSERT_TRUE(WaitUntil([&] { return Content("cleared.last") == "1"; }));
  files_->Hold();
  Retain("unwritten", "2");
  Retain("written", "3");
  Retain("cleared", "");
  StateCarrier carrier;
  std::vector<pb::state::RetainedTopic> states;
  files_->Export(carrier.old_chunks, [&](pb::state::RetainedTopic state) {
    states.push_back(std::move(state));
  });
  ASSERT_EQ(states.size(), 3u);

  Counters counters;
  RetainedStore store(options_, counters);
  const auto next = *RetainedFiles::Open(*bus_, store, options_, counters,
                                         RetainedFiles::Begin::kWithState);
  EXPECT_EQ(store.topics(), 0u);
  for (const pb::state::RetainedTopic& state : states) {
    next->Restore(carrier.Carry(state), carrier.new_chunks);
  }
  EXPECT_EQ(store.topics(), 2u);
  EXPECT_TRUE(WaitUntil([&] {
    return Content("written.last") == "3" && Content("unwritten.last") == "2" &&
           !fs::exists(Path("cleared.last"));
  }));
  files_->Release();
}

TEST_F(RetainedFilesTest, AnUpgradeThatFailsLetsItWriteOn) {
  files_->Hold();
  Retain("topic", "1");
  files_->Release();
  EXPECT_TRUE(WaitUntil([&] { return Content("topic.last") == "1"; }));
}

}  // namespace
}  // namespace fifobus
