#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_SESSION_PIPES_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_SESSION_PIPES_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"

namespace fifobus {

// The two FIFOs of a session, made by the client and offered to the broker:
//
//   up    client to broker
//   down  broker to client
//
// Until Welcome the client also holds the reading end of `up`, so that Hello
// stays in it however late the broker comes.
//
// The names exist only until the broker has opened both. Thread-compatible.
class SessionPipes {
 public:
  // Makes the pair in `bus`/sessions, writes `hello` into `up`, and gives the
  // pair its final names. Never blocks.
  static absl::StatusOr<SessionPipes> Offer(const std::string& bus,
                                            std::string_view hello);

  SessionPipes() = default;
  SessionPipes(SessionPipes&& other) { *this = std::move(other); }
  SessionPipes& operator=(SessionPipes&& other);
  ~SessionPipes();

  int up() const { return up_.get(); }
  int down() const { return down_.get(); }

  // The broker has answered: from now on `up` breaks when it dies.
  void OnWelcome();
  // Whether `up` holds bytes that nobody will ever read.
  bool UpIsAbandoned() const;
  // How many bytes of `up` nobody has read.
  size_t Unread() const;
  // Reads those, when the broker is gone, at most `bytes_max` of them. Opens
  // `up` by its entry in `open_files`, "/proc/self/fd": it has no other name,
  // and to hold it open for reading would hide the broker's end. The bytes are
  // whatever is there: of a process that has opened `up` too, perhaps.
  absl::StatusOr<std::string> TakeBack(const std::string& open_files,
                                       size_t bytes_max) const;
  // No more will be written; the broker reads what there is, then a hang-up.
  void CloseUp();

  // In the child of a fork: closes its copies, and removes nothing, since the
  // names are the parent's.
  void Forget();

  // Whether the broker has not opened the pair yet.
  bool NamesExist() const;

 private:
  std::string Name(std::string_view suffix) const;
  void RemoveNames();

  std::string base_;  // "BUS/sessions/ID"; empty once the names are gone
  UniqueFd up_;
  UniqueFd up_reader_;
  UniqueFd down_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_SESSION_PIPES_H_
