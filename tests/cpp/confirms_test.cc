#include "clients/cpp/internal/confirms.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

using Next = Confirms::Next;
using Match = Confirms::Match;

Confirmation Stored(uint64_t id) {
  Confirmation confirmation;
  confirmation.confirm_id = id;
  confirmation.level = Level::kStored;
  return confirmation;
}

// The ids of what is lost, those without an answer negative.
std::vector<int64_t> Lost(Confirms& confirms) {
  std::vector<int64_t> ids;
  while (const auto lost = confirms.TakeLost()) {
    const auto id = static_cast<int64_t>(lost->confirm_id);
    ids.push_back(lost->level == Level::kStored ? id : -id);
  }
  return ids;
}

std::string SentAgain(Confirms& confirms, uint64_t session) {
  std::string out;
  confirms.SendAgain(session, "", out);
  return out;
}

TEST(ConfirmsTest, AnswersComeInOrder) {
  Confirms confirms;
  confirms.Add(7, 1);
  confirms.Add(8, 1);
  EXPECT_EQ(confirms.OnConfirm(8), Match::kUnknown);
  EXPECT_EQ(confirms.OnConfirm(7), Match::kAwaited);
  EXPECT_EQ(confirms.OnConfirm(8), Match::kAwaited);
  EXPECT_EQ(confirms.OnConfirm(8), Match::kUnknown);
}

TEST(ConfirmsTest, ASessionTakesAlongWhatIsNotKept) {
  Confirms confirms(100);
  confirms.Add(1, 1);
  confirms.Keep(2, 1, "two");
  confirms.Add(3, 1);
  confirms.Keep(4, 1, "four");
  EXPECT_EQ(SentAgain(confirms, 2), "twofour");
  confirms.Add(5, 2);
  confirms.OnSessionOver(2, Next::kSession);
  EXPECT_EQ(Lost(confirms), (std::vector<int64_t>{-1, -3}));
  EXPECT_EQ(confirms.OnConfirm(2), Match::kAwaited);
  EXPECT_EQ(confirms.OnConfirm(4), Match::kAwaited);
  EXPECT_EQ(confirms.OnConfirm(5), Match::kAwaited);
}

TEST(ConfirmsTest, RoomComesWhenTheAnswerIsRead) {
  Confirms confirms(10);
  EXPECT_TRUE(confirms.HasRoomFor(11)) << "one always has room";
  confirms.Keep(1, 1, "1234567");
  EXPECT_FALSE(confirms.HasRoomFor(4));
  EXPECT_TRUE(confirms.HasRoomFor(3));
  confirms.OnReadAhead(Stored(1), 1);
  EXPECT_TRUE(confirms.HasRoomFor(10));
  EXPECT_EQ(SentAgain(confirms, 2), "");
  EXPECT_EQ(confirms.OnConfirm(1), Match::kAwaited);
  EXPECT_TRUE(confirms.HasRoomFor(10));
}

TEST(ConfirmsTest, EqualIdsAreToldApartByTheirOrder) {
  Confirms confirms(100);
  for (const char* frame : {"a", "b", "c"}) confirms.Keep(1, 1, frame);
  confirms.OnReadAhead(Stored(1), 1);
  EXPECT_EQ(confirms.OnConfirm(1), Match::kAwaited);
  EXPECT_EQ(SentAgain(confirms, 2), "bc");
  confirms.OnReadAhead(Stored(1), 2);
  confirms.OnReadAhead(Stored(1), 2);
  EXPECT_EQ(SentAgain(confirms, 3), "");
}

TEST(ConfirmsTest, AnAnswerThatWasReadOutlivesItsSession) {
  Confirms confirms(100);
  confirms.Keep(1, 1, "a");
  confirms.Keep(2, 1, "b");
  confirms.OnReadAhead(Stored(1), 1);
  EXPECT_EQ(SentAgain(confirms, 2), "b");
  confirms.OnReadAhead(Stored(2), 2);
  confirms.OnSessionOver(2, Next::kSession);
  EXPECT_EQ(Lost(confirms), (std::vector<int64_t>{1}));
  EXPECT_EQ(confirms.OnConfirm(2), Match::kAwaited);
}

TEST(ConfirmsTest, WithoutANextSessionAllIsLost) {
  Confirms confirms(100);
  confirms.Keep(1, 1, "a");
  confirms.Keep(Confirms::kOwnIds + 1, 1, "own");
  confirms.Add(2, 1);
  confirms.OnSessionOver(UINT64_MAX, Next::kNone);
  EXPECT_EQ(Lost(confirms), (std::vector<int64_t>{-1, -2}));
  EXPECT_TRUE(confirms.HasRoomFor(100));
}

TEST(ConfirmsTest, AnOwnMessageStaysUntilItsAnswer) {
  Confirms confirms(100);
  confirms.Keep(1, 1, "a");
  confirms.Keep(Confirms::kOwnIds + 1, 1, "own");
  confirms.Keep(2, 1, "b");
  EXPECT_EQ(SentAgain(confirms, 2), "aownb");
  confirms.OnReadAhead(Stored(1), 2);
  confirms.OnOwnConfirm(Confirms::kOwnIds + 1);
  confirms.OnReadAhead(Stored(2), 2);
  EXPECT_EQ(SentAgain(confirms, 3), "");
  EXPECT_EQ(confirms.OnConfirm(1), Match::kAwaited);
  EXPECT_EQ(confirms.OnConfirm(2), Match::kAwaited);
}

}  // namespace
}  // namespace fifobus
