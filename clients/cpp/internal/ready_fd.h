#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_READY_FD_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_READY_FD_H_

#include "absl/status/status.h"
#include "broker/base/unique_fd.h"
#include "clients/cpp/deadline.h"

namespace fifobus {

// The one descriptor by which an event loop waits for a client, whichever pipes
// the client has just then: an epoll set of `down`, of `up` while there is
// something to write, of a timer, and of a flag. Never waits itself.
// Thread-compatible.
class ReadyFd {
 public:
  absl::Status Open();
  int get() const { return epoll_.get(); }

  // Readable when `down` is.
  absl::Status AddDown(int down);
  // Whether it is readable when `up` has room.
  void WatchRoom(int up, bool watch);
  // Both pipes are about to be closed. The set would keep them as long as the
  // child of a fork has copies: epoll(7).
  void RemovePipes(int up, int down);
  // Whether it is readable now.
  void SetReadable(bool readable);
  // Readable from this time on, until the next call.
  void SetTimer(Deadline time);

  // In the child of a fork: closes its copies. The parent's set keeps all that
  // is in it, because the open files stay open there: epoll(7).
  void Forget();

 private:
  UniqueFd epoll_;
  UniqueFd timer_;
  UniqueFd flag_;
  bool watches_room_ = false;
  bool is_readable_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_READY_FD_H_
