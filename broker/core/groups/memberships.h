#ifndef FIFOBUS_BROKER_CORE_GROUPS_MEMBERSHIPS_H_
#define FIFOBUS_BROKER_CORE_GROUPS_MEMBERSHIPS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/thread_rule.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/delivery/room_listener.h"
#include "broker/core/delivery/room_listeners.h"
#include "broker/core/groups/group.h"
#include "broker/core/groups/group_table.h"
#include "broker/state/group_state.pb.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The queue groups that one session is in. Passes the session's answers on to
// them, and tells them when its egress has room.
//
// Worker-affine, asserted. Owned by the Session.
class Memberships : public RoomListener {
 public:
  // `table` must live as long as this. `rooms` are the egress's listeners.
  Memberships(GroupTable& table, std::shared_ptr<Egress> egress,
              std::shared_ptr<RoomListeners> rooms)
      : table_(table), egress_(std::move(egress)), rooms_(std::move(rooms)) {}

  // Null: the group acknowledges in another way.
  std::shared_ptr<Group> Join(const Group::Key& key,
                              const std::optional<AckRule>& rule);
  // The same for a group over a log. `use` is kept until the session holds
  // nothing of the group any more.
  std::shared_ptr<Group> JoinLogged(const Group::Key& key, const AckRule& rule,
                                    const GroupTable::MakeSource& make_source,
                                    std::shared_ptr<void> use);
  // Leaves those of this pattern and name, over a log or not. Nothing, if it is
  // in none. What was delivered may still be answered.
  void Leave(std::string_view pattern, std::string_view name);
  void Acknowledge(const pb::Ack& ack);
  // Leaves all; what is not answered goes to others. What the client has not
  // read is lost, and so is what it has `taken_along` unhandled: that is
  // counted for the first of its groups without acks.
  void End(uint64_t taken_along);

  // Of the groups that it is in.
  std::vector<std::string> Patterns() const;

  // Groups that it is in, or of which it still holds messages.
  size_t size() const {
    thread_rule_.Check();
    return entries_.size();
  }

  pb::state::Memberships Export() const;
  // Takes its places in the groups that the table has restored. `use_reader`
  // makes the use of a group's durable reader.
  using UseReader = std::function<std::shared_ptr<void>(const Group::Key&)>;
  void Restore(const pb::state::Memberships& state,
               const UseReader& use_reader);

  void OnRoom() override;

 private:
  struct Entry {
    std::shared_ptr<Group> group;
    std::shared_ptr<void> use;  // of a group over a log
    bool joined = true;
  };

  // Before each Join.
  void Prepare();
  // After it; null: it was refused.
  std::shared_ptr<Group> Enter(std::shared_ptr<Group> group,
                               std::shared_ptr<void> use);
  // Forgets groups over logs that it has left, and owes no answer: such a group
  // may have waited for that to end.
  void ForgetAnswered();

  GroupTable& table_;
  const std::shared_ptr<Egress> egress_;
  const std::shared_ptr<RoomListeners> rooms_;
  const ThreadRule thread_rule_;
  std::vector<Entry> entries_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_MEMBERSHIPS_H_
