#include "broker/io/descriptor_reserve.h"

#include <fcntl.h>

#include <utility>

namespace fifobus {

void DescriptorReserve::Refill() {
  while (static_cast<int>(held_.size()) < count_) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return;
    held_.push_back(std::move(fd));
  }
}

}  // namespace fifobus
