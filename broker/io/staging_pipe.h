#ifndef FIFOBUS_BROKER_IO_STAGING_PIPE_H_
#define FIFOBUS_BROKER_IO_STAGING_PIPE_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "broker/base/unique_fd.h"
#include "broker/io/pipe_growth.h"
#include "broker/seam/sink.h"

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
// It begins at the kernel's default size and grows, like any pipe, when what is
// to be staged does not fit. It then stages what fits, or nothing where that
// would be less than half.
//
// Worker-affine. Owned by a Worker.
class StagingPipe : public Staging {
 public:
  // `growth` must live as long as this; null: the pipe keeps its size.
  static absl::StatusOr<std::unique_ptr<StagingPipe>> Create(
      PipeGrowth* growth);
  ~StagingPipe() override { growing_.GiveBack(); }

  const Staged* Load(absl::Span<const Slice> slices) override;
  void Unload() override;

 private:
  explicit StagingPipe(PipeGrowth* growth)
      : growing_(growth, PipeUse::kIngress) {}

  UniqueFd reading_;
  UniqueFd writing_;
  UniqueFd nowhere_;  // /dev/null
  GrowingPipe growing_;
  Staged staged_;
};

// As WriteFifo, but the front of the slices' bytes comes from `staged`.
SinkResult WriteStaged(const Staged& staged, int fd,
                       absl::Span<const Slice> slices);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_STAGING_PIPE_H_
