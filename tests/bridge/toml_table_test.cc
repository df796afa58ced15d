#include "clients/cli/bridge/toml_table.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

// A table of a file "t.toml".
class TomlTableTest : public testing::Test {
 protected:
  void Parse(const std::string& text) {
    parsed_ = toml::parse(text, path_);
    faults_.clear();
  }
  TomlTable Table() { return TomlTable(path_, parsed_, faults_); }

  const std::string path_ = "t.toml";
  toml::table parsed_;
  std::vector<std::string> faults_;
};

using Faults = std::vector<std::string>;

TEST_F(TomlTableTest, ValuesAreRead) {
  Parse(
      "text = \"a\"\ntexts = [\"a\", \"b\"]\nflag = true\ncount = 7\n"
      "bytes = \"2KiB\"\nmore-bytes = 100\nwait = \"1h30m\"\nseconds = 2.5\n");
  TomlTable table = Table();
  std::string text;
  std::vector<std::string> texts;
  bool flag = false;
  uint64_t count = 0;
  uint64_t bytes = 0;
  uint64_t more_bytes = 0;
  absl::Duration wait;
  absl::Duration seconds;
  table.Text("text", text);
  table.Texts("texts", texts);
  table.Flag("flag", flag);
  table.Count("count", 1, 10, count);
  table.Bytes("bytes", 1, 10000, bytes);
  table.Bytes("more-bytes", 1, 10000, more_bytes);
  table.Duration("wait", absl::Seconds(1), wait);
  table.Duration("seconds", absl::Seconds(1), seconds);
  EXPECT_EQ(text, "a");
  EXPECT_EQ(texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(flag);
  EXPECT_EQ(count, 7U);
  EXPECT_EQ(bytes, 2048U);
  EXPECT_EQ(more_bytes, 100U);
  EXPECT_EQ(wait, absl::Minutes(90));
  EXPECT_EQ(seconds, absl::Milliseconds(2500));
  table.RefuseOthers("the file");
  EXPECT_EQ(faults_, Faults());
}

TEST_F(TomlTableTest, WhatIsAbsentStaysAsItIs) {
  Parse("other = 1\n");
  TomlTable table = Table();
  std::string text = "before";
  uint64_t count = 5;
  table.Text("text", text);
  table.Count("count", 1, 2, count);
  EXPECT_EQ(text, "before");
  EXPECT_EQ(count, 5U);
  EXPECT_FALSE(table.Has("text"));
  EXPECT_TRUE(table.Has("other"));
  EXPECT_EQ(faults_, Faults());
}

TEST_F(TomlTableTest, WrongValuesLeaveTheTargetAndNameTheLine) {
  Parse(
      "text = 1\ntexts = [\"a\", 1]\nflag = \"yes\"\ncount = 11\n"
      "bytes = \"many\"\nwait = \"0.5s\"\n");
  TomlTable table = Table();
  std::string text = "before";
  std::vector<std::string> texts;
  bool flag = false;
  uint64_t count = 5;
  uint64_t bytes = 6;
  absl::Duration wait = absl::Seconds(7);
  table.Text("text", text);
  table.Texts("texts", texts);
  table.Flag("flag", flag);
  table.Count("count", 1, 10, count);
  table.Bytes("bytes", 1, 10, bytes);
  table.Duration("wait", absl::Seconds(1), wait);
  EXPECT_EQ(text, "before");
  EXPECT_TRUE(texts.empty());
  EXPECT_FALSE(flag);
  EXPECT_EQ(count, 5U);
  EXPECT_EQ(bytes, 6U);
  EXPECT_EQ(wait, absl::Seconds(7));
  EXPECT_EQ(
      faults_,
      (Faults{
          "t.toml:1: text must be a text in quotes",
          "t.toml:2: texts must be a list of texts, such as [\"a\", \"b\"]",
          "t.toml:3: flag must be true or false",
          "t.toml:4: count must be a number from 1 to 10",
          "t.toml:5: bytes must be a size from 1 to 10 bytes, such as \"8MiB\"",
          "t.toml:6: wait must be a time of at least 1s, such as \"10s\""}));
}

TEST_F(TomlTableTest, NegativeCountsAndSizesAreNone) {
  Parse("count = -1\nbytes = -1\n");
  TomlTable table = Table();
  uint64_t count = 5;
  table.Count("count", 0, UINT64_MAX, count);
  table.Bytes("bytes", 0, UINT64_MAX, count);
  EXPECT_EQ(count, 5U);
  EXPECT_EQ(faults_.size(), 2U);
}

TEST_F(TomlTableTest, KeysThatNobodyHasReadAreRefusedWithThoseThatThereAre) {
  Parse("b = true\nthird = 1\n");
  TomlTable table = Table();
  bool flag = false;
  table.Flag("b", flag);
  table.Flag("a", flag);
  table.RefuseOthers("the file");
  EXPECT_EQ(faults_,
            (Faults{"t.toml:2: third is no key of the file; there are a, b"}));
}

TEST_F(TomlTableTest, OneFaultForAKeyAndThenNoOthers) {
  Parse("b = 1\nthird = 1\n");
  TomlTable table = Table();
  bool flag = false;
  table.Flag("b", flag);
  table.Fault("b", "is wrong in another way");
  table.Fault("absent", "is missing");
  table.RefuseOthers("the file");
  EXPECT_EQ(faults_, (Faults{"t.toml:1: b must be true or false",
                             "t.toml:1: absent is missing"}));
}

}  // namespace
}  // namespace fifobus::bridge
