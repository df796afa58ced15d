#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/cli_support.h"
#include "tests/support/stored_log_support.h"

namespace fifobus {
namespace {

using Json = nlohmann::json;

// `fifobus log` on files, without a broker and beside one.
class LogCommandTest : public CliTest {
 protected:
  Outcome Log(const std::string& arguments) const {
    return Run(fmt::format("TZ=UTC FIFOBUS_STATE_DIR={} fifobus log {}",
                           state_dir(), arguments));
  }
  std::string state_dir() const { return Path("state"); }
  std::string Folder(const std::string& name) const {
    return state_dir() + "/logs/" + name;
  }

  // Three messages, offset 1 to 3, stored one second apart.
  void MakeOrders() const {
    LogOnDisk log(state_dir(), "orders");
    for (const char* payload : {"tea", "jam", "bread"}) {
      log.Store("orders/new", payload);
      log.now_unix_nanos += 1'000'000'000;
    }
    log.Cover();
  }

  std::string Segment() const {
    return Folder("orders") + "/00000000000000000001.seg";
  }

  void Spoil(const std::string& text) const {
    std::string bytes = ReadFile(Segment());
    const size_t at = bytes.find(text);
    ASSERT_NE(at, std::string::npos);
    bytes[at] ^= 1;
    std::ofstream(Segment(), std::ios::binary) << bytes;
  }

  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(state_dir())) {
      if (entry.is_regular_file()) {
        files[entry.path()] = ReadFile(entry.path());
      }
    }
    return files;
  }
};

TEST_F(LogCommandTest, LsAndInfoTellWhatIsOnDisk) {
  MakeOrders();
  { LogOnDisk log(state_dir(), "empty"); }
  const Outcome ls = Log("ls");
  EXPECT_EQ(ls.exit, 0) << ls.err;
  EXPECT_NE(ls.out.find("orders                              3            1"
                        "            4"),
            std::string::npos)
      << ls.out;
  EXPECT_NE(ls.out.find("1970-01-01 00:00:01 1970-01-01 00:00:03"),
            std::string::npos)
      << ls.out;
  const Json json = Json::parse(Log("ls --json").out);
  ASSERT_EQ(json["logs"].size(), 2u);
  EXPECT_EQ(json["logs"][0]["name"], "empty");
  EXPECT_EQ(json["logs"][0]["next_offset"], 1);
  EXPECT_EQ(json["logs"][1]["next_offset"], 4);
  const Outcome info = Log("info orders");
  EXPECT_NE(info.out.find("3 messages, offset 1 to 3"), std::string::npos)
      << info.out;
  EXPECT_NE(info.out.find("none has it open"), std::string::npos);
  EXPECT_TRUE(
      Log("check empty")
          .out.starts_with("empty: good: 0 messages, the next is offset 1, "));
  EXPECT_EQ(Json::parse(Log("info orders --json").out)["segments"], 1);
}

TEST_F(LogCommandTest, ExportPrintsWhatSubWouldPrint) {
  MakeOrders();
  EXPECT_EQ(Log("export orders --from 2 --to 3").out,
            "{\"topic\":\"orders/new\",\"payload\":\"jam\",\"offset\":2,"
            "\"stored_time\":\"1970-01-01T00:00:02.000000000Z\"}\n");
  EXPECT_EQ(Log("export orders --format payload").out, "tea\njam\nbread\n");
  EXPECT_EQ(Log("export orders --format payload --from -1").out, "bread\n");
  EXPECT_EQ(Log("export orders --format payload "
                "--from 1970-01-01T00:00:02Z --to 1970-01-01T00:00:03Z")
                .out,
            "jam\n");
  EXPECT_EQ(Log("export orders --from new").out, "");
  EXPECT_EQ(Log("export orders --format payload --to 99").out,
            "tea\njam\nbread\n");
  MessageFields fields;
  fields.topic = "orders/new";
  fields.payload = "bread";
  std::string frame;
  AppendMessageFrame(fields, frame);
  EXPECT_EQ(Log("export orders --format frames --from 3").out, frame);
  const Outcome behind = Log("export orders --from 5");
  EXPECT_EQ(behind.exit, 1);
  EXPECT_EQ(behind.err,
            "fifobus: offset 5 is behind the end of the log; the next one is "
            "4\n");
  EXPECT_EQ(Log("export orders --from soon").exit, 2);
}

TEST_F(LogCommandTest, ExportEndsWithItsReader) {
  MakeOrders();
  EXPECT_EQ(Log("export orders | head -n 1").exit, 0);
}

TEST_F(LogCommandTest, CheckSaysThatAllIsGoodAndChangesNothing) {
  MakeOrders();
  const auto before = Files();
  const Outcome check = Log("check");
  EXPECT_EQ(check.exit, 0);
  EXPECT_TRUE(
      check.out.starts_with("orders: good: 3 messages, offset 1 to 3, "))
      << check.out;
  EXPECT_EQ(check.err, "");
  EXPECT_EQ(Files(), before);
}

TEST_F(LogCommandTest, CheckTellsDamageByItsOffsets) {
  MakeOrders();
  Spoil("jam");
  const auto before = Files();
  const Outcome check = Log("check orders");
  EXPECT_EQ(check.exit, 1);
  EXPECT_NE(check.out.find("orders: DAMAGED: 1 stored message, offset 2 to 2, "
                           "cannot be read.\n"),
            std::string::npos)
      << check.out;
  EXPECT_NE(check.out.find("orders: damaged: "), std::string::npos);
  const Outcome exported = Log("export orders --format payload");
  EXPECT_EQ(exported.exit, 1);
  EXPECT_EQ(exported.out, "tea\nbread\n");
  EXPECT_EQ(exported.err,
            "fifobus: 1 message, offset 2 to 2, cannot be read: the disk has "
            "damaged them\n");
  EXPECT_EQ(Files(), before);
}

TEST_F(LogCommandTest, ATornTailIsToldAndIsNoDamage) {
  MakeOrders();
  std::ofstream(Segment(), std::ios::binary | std::ios::app) << "half a batch";
  const auto before = Files();
  const Outcome check = Log("check");
  EXPECT_EQ(check.exit, 0);
  EXPECT_NE(check.out.find("orders: 12 bytes behind offset 3 are torn."),
            std::string::npos)
      << check.out;
  EXPECT_EQ(Files(), before);
}

TEST_F(LogCommandTest, ARunningBrokersLogIsReadBesideIt) {
  LogOnDisk log(state_dir(), "orders");
  log.Store("orders/new", "tea");
  const auto before = Files();
  EXPECT_EQ(Log("export orders --format payload").out, "tea\n");
  EXPECT_NE(Log("info orders").out.find("has it open"), std::string::npos);
  // What is not known to be on disk is the broker's matter now.
  const Outcome check = Log("check");
  EXPECT_EQ(check.out.find("nothing says"), std::string::npos) << check.out;
  EXPECT_EQ(check.exit, 0);
  EXPECT_EQ(Files(), before);
  log.Store("orders/new", "jam");
  EXPECT_EQ(Log("export orders --format payload").out, "tea\njam\n");
}

TEST_F(LogCommandTest, WhatIsNotThereIsOneClearLine) {
  const Outcome none = Log("ls");
  EXPECT_EQ(none.exit, 1);
  EXPECT_EQ(none.err,
            fmt::format("fifobus: there are no logs: {}/logs does not exist; "
                        "name the state directory of the broker with "
                        "--state-dir\n",
                        state_dir()));
  MakeOrders();
  EXPECT_EQ(Log("info order").err,
            fmt::format("fifobus: there is no log \"order\" in {}/logs; there "
                        "are: orders\n",
                        state_dir()));
  EXPECT_EQ(Log("check ../orders").err,
            "fifobus: \"../orders\" is no name of a log\n");
  std::ofstream(Segment(), std::ios::binary) << std::string(5000, 'x');
  const Outcome strange = Log("check");
  EXPECT_EQ(strange.exit, 1);
  EXPECT_TRUE(strange.err.starts_with("fifobus: log orders: "));
  EXPECT_EQ(std::count(strange.err.begin(), strange.err.end(), '\n'), 1);
}

TEST_F(LogCommandTest, AFolderOfAnotherUserSaysWhatToDo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs two users";
  MakeOrders();
  const Outcome other = Run(
      fmt::format("FIFOBUS_STATE_DIR={} setpriv --reuid 65534 --regid 65534 "
                  "--clear-groups {} log check orders",
                  state_dir(), FifobusBinary()));
  if (other.err.find("setpriv") != std::string::npos) {
    GTEST_SKIP() << other.err;
  }
  EXPECT_EQ(other.exit, 1);
  EXPECT_NE(other.err.find("may not be read; run this as that user"),
            std::string::npos)
      << other.err;
}

}  // namespace
}  // namespace fifobus
