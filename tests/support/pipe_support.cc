#include "tests/support/pipe_support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace fifobus {

TempDir::TempDir() {
  // tmpfs, where buses are at home; names are short enough anywhere.
  char path[] = "/dev/shm/fifobus-test-XXXXXX";
  EXPECT_NE(mkdtemp(path), nullptr);
  path_ = path;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool WaitUntil(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kHang;
  while (!condition()) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

bool WaitFor(int fd, short events) {
  pollfd readable = {fd, events, 0};
  return poll(&readable, 1, static_cast<int>(kHang / absl::Milliseconds(1))) ==
         1;
}

void MakeFifo(const std::string& path) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0) << path;
}

std::string ReadBytes(int fd, size_t bytes) {
  std::string all;
  while (all.size() < bytes && WaitFor(fd, POLLIN)) {
    char buffer[65536];
    const ssize_t size =
        read(fd, buffer, std::min(sizeof(buffer), bytes - all.size()));
    if (size == 0) break;
    if (size > 0) all.append(buffer, static_cast<size_t>(size));
  }
  return all;
}

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return static_cast<size_t>(
      std::distance(begin(open), std::filesystem::directory_iterator()));
}

void RaiseDescriptorLimit() {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

PipeEnds MakePipe() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

PipeEnds MakeOnePagePipe() {
  PipeEnds ends = MakePipe();
  EXPECT_EQ(fcntl(ends.writing.get(), F_SETPIPE_SZ, 4096), 4096);
  return ends;
}

bool PipesMayGrow() {
  const PipeEnds ends = MakeOnePagePipe();
  return fcntl(ends.writing.get(), F_SETPIPE_SZ, 8192) == 8192;
}

TestWorker::TestWorker(const BrokerOptions& options) {
  auto worker = Worker::Start(0, options, AdaptiveSpin(), nullptr);
  EXPECT_TRUE(worker.ok()) << worker.status();
  worker_ = *std::move(worker);
}

void TestWorker::Do(const std::function<void()>& task) {
  std::promise<void> done;
  loop().Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

uint64_t TestWorker::Rounds() {
  uint64_t rounds = 0;
  Do([&] { rounds = loop().rounds(); });
  return rounds;
}

}  // namespace fifobus
