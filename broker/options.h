#ifndef FIFOBUS_BROKER_OPTIONS_H_
#define FIFOBUS_BROKER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "broker/rules/history_rule.h"
#include "broker/rules/overflow_policy.h"
#include "broker/rules/topic_rule.h"
#include "proto/frame.h"

namespace fifobus {

// Every limit of the broker, with its reason. "Not tuned" says that nothing was
// measured to choose it.
struct BrokerOptions {
  // The bus directory.
  std::string dir;

  // Threads, each with one epoll. 0: one for each core.
  int workers = 0;

  // How long an idle worker spins before it sleeps in epoll, while messages
  // have come that fast lately; 0: not at all. Waking a sleeping core takes
  // some 20 times longer than moving a small message. Of 50 and 100 us only the
  // latter helps at 20,000 messages a second: broker/DESIGN.md, decisions.
  absl::Duration adaptive_spin = absl::Microseconds(100);

  // How long it spins whatever comes, instead; 0: as adaptive_spin says.
  absl::Duration busy_poll = absl::ZeroDuration();

  // Bytes of a frame after its prefix. Larger payloads belong into a file whose
  // name is published.
  size_t frame_bytes_max = kFrameBytesMaxDefault;

  // What is read at once at most, together with the begun frame of the read
  // before: a full pipe of ingress_pipe_bytes behind 64 KiB. At least 64 KiB,
  // or a pipe in packet mode loses bytes. Each chunk wakes every subscriber
  // once, so a large one is cheap: 64 KiB to each of 10 subscribers went at
  // 1.33 times the speed of before, and at 1.27 with chunks of 256 KiB.
  size_t chunk_bytes = size_t{320} << 10;

  // The same while subscribers' pipes are no larger than an ingress's, because
  // there is not enough for all: what does not fit them has to be copied.
  // Measured with 100 subscribers: 320 KiB have 0.87 of the speed.
  size_t crowded_chunk_bytes = size_t{256} << 10;

  // What one ingress may bring in one round of its worker before the others get
  // their turn: one chunk of small frames.
  size_t round_bytes_max = size_t{320} << 10;

  // All half-received frames together. An ingress that would exceed it is
  // closed with a reason. 64 frames of the largest size.
  size_t half_received_bytes_max = size_t{1} << 30;

  // An egress's queue; above it the ingresses that feed it are paused until it
  // is below half. 16 default pipes. Not tuned.
  size_t egress_queue_bytes_max = size_t{1} << 20;

  // The same in messages; 0: only the bytes count. Subscribers may ask for less
  // of both.
  size_t egress_queue_messages_max = 0;

  // What subscribers may ask for.
  std::vector<Overflow> overflow_allowed = {
      Overflow::kDropOldest, Overflow::kDropNewest, Overflow::kLatest,
      Overflow::kDisconnect, Overflow::kBlock};

  // The broker's answers that a client may let wait; above it the session is
  // over, because an answer must not be dropped. Not tuned.
  size_t control_bytes_max = size_t{1} << 20;

  // Rests of a chunk up to this size are copied when they are queued, larger
  // ones keep the chunk: an eighth of a chunk, so that a queue pins at most
  // eight times what it holds. Not tuned.
  size_t copied_rest_bytes_max = size_t{32} << 10;

  // How long an egress may hold ingresses paused before it is stalled.
  absl::Duration stall_timeout = absl::Seconds(1);

  // How long publishers may take to finish when the broker stops.
  absl::Duration drain_timeout = absl::Seconds(5);

  // Topics that one worker remembers the route of. Above it the worker forgets
  // all and begins anew. 16384 of about 400 bytes are 6.5 MB a worker.
  size_t routes_max = 16384;

  // Patterns of one session. Not tuned.
  size_t session_patterns_max = 65536;

  // Topics of which the last messages are kept, all of them and not only those
  // published with `retain`. Of several rules that match the largest counts.
  std::vector<HistoryRule> history;

  // What the configuration settles by topic; Broker::SetTopicRules puts others
  // in place.
  std::vector<TopicRule> topics;

  // Topics with a retained value, each also a file, and what all values take
  // together: as much as 16 of the largest frames. Not tuned.
  size_t retained_topics_max = 65536;
  size_t retained_bytes_max = size_t{256} << 20;

  // How often T.last files are written at most while values keep changing: what
  // a broker that is killed has not written yet is no older. Not tuned.
  absl::Duration retained_write_interval = absl::Milliseconds(100);

  // How often $sys/stats is published while somebody subscribes to it.
  absl::Duration sys_stats_interval = absl::Seconds(5);
  // What one member of a queue group gets in its turn, if there is so much: a
  // run costs a system call, and lies with one member while others may be idle.
  size_t group_run_messages_max = 64;
  size_t group_run_bytes_max = size_t{64} << 10;

  // How long a group that acknowledges waits for members when it has none: for
  // all of them to be restarted.
  absl::Duration group_linger = absl::Seconds(60);

  // What the members of a group that acknowledges may ask for. Each message
  // without an answer is kept in memory. Not tuned.
  uint32_t group_unacked_max = 4096;
  absl::Duration group_ack_timeout_max = absl::Hours(24);
  uint32_t group_deliveries_max = 1000;

  // What one member may hold without an answer, in bytes, but for one message:
  // the largest frame.
  size_t group_unacked_bytes_max = size_t{16} << 20;

  // A line written to a tap, newline included: PIPE_BUF, above which writes of
  // several writers mix.
  size_t tap_line_bytes_max = 4096;

  // Kept open so that discovery can still read a directory and refuse a client
  // politely when descriptors have run out: a pair of pipes, a directory,
  // spare.
  int reserve_descriptors = 8;

  // The size asked for a session's pipes, as far as the kernel allows. 0: leave
  // the default of 64 KiB.
  size_t session_pipe_bytes = 0;

  // A pipe that is found full grows to the first, if the broker reads from it,
  // or the second, if it writes to it; or, where more than that is to go
  // through it at once, to the third, pipe-max-size by default. Idle ones stay
  // small. 0: never. Measured, by 256 KiB for subscribers too: 64 KiB to each
  // of 10 go at 1.24 times the speed, 4 KiB at 1.17, 64 B at 1.12, a stream of
  // 16 KiB at 1.19; while with 512 KiB for publishers too 64 KiB to each of 30
  // went at 0.94, and without at 1.41. With all at 1 MiB a message waits twice
  // to five times as long in full pipes; with all at 256 KiB, 1 MiB to each of
  // 10 goes at 0.6 times the speed.
  size_t ingress_pipe_bytes = size_t{256} << 10;
  size_t egress_pipe_bytes = size_t{512} << 10;
  size_t large_pipe_bytes = size_t{1} << 20;

  // Pipes that have grown take so much together, or half of what the kernel
  // lets the user have in pipes, if that is less: 32 MiB, unless that does not
  // bind it (io/pipe_allowance.h). Those larger than an ingress's take half of
  // that at most; where it is spent, pipes grow to that size only. Enough for
  // 128 subscribers of 1 MiB: with 32 MiB, 1 MiB to each of 100 goes at half of
  // the speed, as what does not fit a pipe is copied and not handed on by
  // tee(2).
  size_t grown_pipes_bytes_max = size_t{256} << 20;

  // Frames of at least so many bytes, which are at least so many for all their
  // subscribers together, are written into a pipe once and handed on by tee(2)
  // instead of being copied for each. Less than a page would waste the slots of
  // the subscribers' pipes. Below the second number staging costs more than it
  // saves: bench/parts/fan_out_bench.cc.
  size_t staged_bytes_min = size_t{4} << 10;
  size_t staged_total_bytes_min = size_t{40} << 10;
};

// The queue of who asks for nothing else.
inline OverflowPolicy UsualPolicy(const BrokerOptions& options) {
  return {Overflow::kDropOldest,
          {options.egress_queue_bytes_max, options.egress_queue_messages_max}};
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_OPTIONS_H_
