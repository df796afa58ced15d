// A retained value's file with any attribute and any bytes: it is refused, or it
// is a valid frame of its topic with the file's bytes; and what is written of it
// reads the same.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "broker/base/unique_fd.h"
#include "broker/bus/last_file.h"
#include "proto/frame.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"
#include "tests/support/pipe_support.h"

namespace fifobus::fuzz {
namespace {

constexpr size_t kFrameBytesMax = 65536;

// A bus directory with the file of topic `t`.
struct Place {
  Place() {
    bus = UniqueFd(open(dir.path().c_str(), O_RDONLY | O_DIRECTORY));
    Require(mkdirat(bus.get(), "topics", 0700) == 0, "a folder is made");
  }
  void Put(std::string_view attribute, std::string_view bytes) {
    const UniqueFd file(openat(bus.get(), "topics/t.last",
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    Require(file.valid() && write(file.get(), bytes.data(), bytes.size()) ==
                                static_cast<ssize_t>(bytes.size()),
            "the file is written");
    (void)fremovexattr(file.get(), "user.fifobus.message");
    if (fsetxattr(file.get(), "user.fifobus.message", attribute.data(),
                  attribute.size(), 0) != 0 &&
        !said) {
      said = true;
      fprintf(stderr, "no attributes on this file system: files alone\n");
    }
  }

  const TempDir dir;
  UniqueFd bus;
  bool said = false;
};

void Check(const Place& place, std::string_view bytes) {
  const auto frame = ReadLastFile(place.bus.get(), "t", kFrameBytesMax);
  if (!frame.ok()) return;
  Require(frame->size() <= kFramePrefixBytes + kFrameBytesMax,
          "a frame is not too large");
  const MessageView message = ReadMessageFrame(*frame);
  Require(message.fault == FrameFault::kNone, "a frame has no fault");
  Require(message.topic == "t" && message.payload == bytes,
          "a frame has the file's topic and bytes");
  Require(message.retain == !bytes.empty(), "a frame says that it is retained");
  Require(WriteLastFile(place.bus.get(), *frame).ok(), "a frame is written");
  const auto again = ReadLastFile(place.bus.get(), "t", kFrameBytesMax);
  Require(again.ok(), "what was written is read");
  // Without attributes only the time and the payload stay.
  if (!place.said) Require(*again == *frame, "what was written is the same");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus::fuzz;  // NOLINT
  static Place place;
  Input input(data, size);
  const std::string_view attribute = input.Text();
  const std::string_view bytes = input.Rest();
  place.Put(attribute, bytes);
  Check(place, bytes);
  return 0;
}
