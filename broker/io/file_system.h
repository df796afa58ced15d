#ifndef FIFOBUS_BROKER_IO_FILE_SYSTEM_H_
#define FIFOBUS_BROKER_IO_FILE_SYSTEM_H_

#include <sys/vfs.h>

#include <string>

namespace fifobus {

// The number by which statfs(2) tells a kind of file system.
using FileSystemType = decltype(statfs::f_type);

// "NFS", of a file system on which a FIFO is local to each machine, so that it
// does not connect processes. Empty for all others. Thread-safe (no state).
std::string RemoteFileSystem(FileSystemType type);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_FILE_SYSTEM_H_
