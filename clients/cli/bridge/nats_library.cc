#include "clients/cli/bridge/nats_library.h"

#include <dlfcn.h>

#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

// The name of the ABI that nats.h of the build belongs to.
constexpr char kFile[] = "libnats.so.3.4";

absl::StatusOr<NatsLibrary> LoadLibrary() {
  // Never unloaded: it has threads.
  void* const handle = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::NotFoundError(fmt::format(
        "a bridge needs {}: apt install libnats3.4 ({})", kFile, dlerror()));
  }
  NatsLibrary library;
#define FIFOBUS_NATS_LOOK_UP(name)                                            \
  library.name =                                                              \
      reinterpret_cast<decltype(library.name)>(dlsym(handle, #name));         \
  if (library.name == nullptr) {                                              \
    return absl::NotFoundError(                                               \
        fmt::format("{} has no {}: it is of another version", kFile, #name)); \
  }
  FIFOBUS_NATS_FUNCTIONS(FIFOBUS_NATS_LOOK_UP)
#undef FIFOBUS_NATS_LOOK_UP
  return library;
}

}  // namespace

absl::StatusOr<const NatsLibrary*> NatsLibrary::Load() {
  static const auto* const library =
      new absl::StatusOr<NatsLibrary>(LoadLibrary());
  if (!library->ok()) return library->status();
  return &**library;
}

}  // namespace fifobus::bridge
