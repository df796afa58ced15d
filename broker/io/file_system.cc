#include "broker/io/file_system.h"

#include <array>

namespace fifobus {
namespace {

// nfs(5), fifo(7): numbers of statfs(2).
struct Remote {
  FileSystemType type;
  const char* name;
};
constexpr std::array<Remote, 6> kRemotes = {{
    {0x6969, "NFS"},
    {0x01021997, "9p"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},
    {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},
}};

}  // namespace

std::string RemoteFileSystem(FileSystemType type) {
  for (const Remote& remote : kRemotes) {
    if (type == remote.type) return remote.name;
  }
  return "";
}

}  // namespace fifobus
