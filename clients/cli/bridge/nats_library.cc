#include "clients/cli/bridge/nats_library.h"

#include <dlfcn.h>

#include <cstdlib>

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

NatsMessage NatsLibrary::Take(natsMsg* message) const {
  NatsMessage taken;
  taken.subject = natsMsg_GetSubject(message);
  if (const char* reply = natsMsg_GetReply(message)) taken.reply = reply;
  taken.payload.assign(natsMsg_GetData(message),
                       static_cast<size_t>(natsMsg_GetDataLength(message)));
  const char** names = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &names, &count) == NATS_OK) {
    for (int i = 0; i < count; ++i) {
      const char** values = nullptr;
      int of_name = 0;
      if (natsMsgHeader_Values(message, names[i], &values, &of_name) !=
          NATS_OK) {
        continue;
      }
      for (int j = 0; j < of_name; ++j) {
        taken.headers.push_back({names[i], values[j]});
      }
      free(values);
    }
    free(names);
  }
  natsMsg_Destroy(message);
  return taken;
}

}  // namespace fifobus::bridge
