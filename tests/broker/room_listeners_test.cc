#include "broker/core/delivery/room_listeners.h"

#include <string>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

// Notes that it was told, and may take another listener away.
class Listener : public RoomListener {
 public:
  Listener(char name, std::string& told) : name_(name), told_(told) {}
  void OnRoom() override {
    told_ += name_;
    if (removes_ != nullptr) all_->Remove(*removes_);
  }
  void Removes(RoomListeners& all, Listener& other) {
    all_ = &all;
    removes_ = &other;
  }

 private:
  const char name_;
  std::string& told_;
  RoomListeners* all_ = nullptr;
  Listener* removes_ = nullptr;
};

TEST(RoomListeners, EachIsToldAndAnotherComesFirstEachTime) {
  std::string told;
  Listener a('a', told);
  Listener b('b', told);
  RoomListeners all;
  all.OnRoom();
  all.Add(a);
  all.Add(b);
  all.Add(a);
  all.OnRoom();
  EXPECT_EQ(told, "ba");
  all.OnRoom();
  EXPECT_EQ(told, "baab");
  all.Remove(a);
  all.OnRoom();
  EXPECT_EQ(told, "baabb");
}

TEST(RoomListeners, OneThatIsRemovedMeanwhileIsNotTold) {
  std::string told;
  Listener a('a', told);
  Listener b('b', told);
  RoomListeners all;
  all.Add(a);
  all.Add(b);
  b.Removes(all, a);
  all.OnRoom();
  EXPECT_EQ(told, "b");
  all.OnRoom();
  EXPECT_EQ(told, "bb");
}

}  // namespace
}  // namespace fifobus
