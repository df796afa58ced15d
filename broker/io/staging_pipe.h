#ifndef FIFOBUS_BROKER_IO_STAGING_PIPE_H_
#define FIFOBUS_BROKER_IO_STAGING_PIPE_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "broker/base/unique_fd.h"
#include "broker/core/sink.h"

namespace fifobus {

// Bytes at the front of a pipe.
struct Staged {
  int fd = -1;  // the pipe's reading end
  size_t bytes = 0;
};

// A pipe of the broker's own, from which tee(2) hands the same pages to many
// subscribers. The pages hold copies: a publisher's pages, which it could still
// change, are never handed on.
//
// Worker-affine; owned by a Worker.
class StagingPipe : public Staging {
 public:
  // As large as the kernel allows, up to `bytes`; 0: the default.
  static absl::StatusOr<std::unique_ptr<StagingPipe>> Create(size_t bytes);

  const Staged* Load(absl::Span<const Slice> slices) override;
  void Unload() override;

 private:
  StagingPipe() = default;

  UniqueFd reading_;
  UniqueFd writing_;
  UniqueFd nowhere_;  // /dev/null
  Staged staged_;
};

// As WriteFifo, but the front of the slices' bytes comes from `staged`.
SinkResult WriteStaged(const Staged& staged, int fd,
                       absl::Span<const Slice> slices);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_STAGING_PIPE_H_
