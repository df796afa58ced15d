#ifndef FIFOBUS_BROKER_OPTIONS_H_
#define FIFOBUS_BROKER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "broker/rules/history_rule.h"
#include "broker/rules/log_rule.h"
#include "broker/rules/overflow_policy.h"
#include "broker/rules/topic_rule.h"
#include "proto/frame.h"

namespace fifobus {

// Every limit of the broker, with its reason. "Not tuned" says that nothing was
// measured to choose it; what was measured is in bench/DECISIONS.md.
struct BrokerOptions {
  // The bus directory.
  std::string dir;

  // Whether a keeper holds the taps open, and how many brokers of it have died
  // before this one.
  bool kept = false;
  uint64_t restarts = 0;

  // Threads, each with one epoll. 0: one for each core.
  int workers = 0;

  // How long an idle worker spins before it sleeps in epoll, while messages
  // have come that fast lately; 0: not at all. Waking a sleeping core takes
  // much longer than moving a small message, and a shorter spin does not reach
  // the next message at 20,000 a second: bench/DECISIONS.md.
  absl::Duration adaptive_spin = absl::Microseconds(100);

  // Not 0: an idle worker spins for so long each time, whatever came lately, in
  // place of adaptive_spin.
  absl::Duration busy_poll = absl::ZeroDuration();

  // The largest frame, in bytes after its prefix. A larger payload belongs in a
  // file whose name is published.
  size_t frame_bytes_max = kFrameBytesMaxDefault;

  // What one read brings at most, the begun frame of the read before included:
  // a full pipe of ingress_pipe_bytes behind 64 KiB. At least 64 KiB, or a pipe
  // in packet mode loses bytes. Each chunk wakes every subscriber once, so a
  // large one is cheap: bench/DECISIONS.md.
  size_t chunk_bytes = size_t{320} << 10;

  // The same while the budget keeps subscribers' pipes as small as an
  // ingress's: what does not fit them has to be copied.
  size_t crowded_chunk_bytes = size_t{256} << 10;

  // What one ingress may bring in one round of its worker before the others get
  // their turn: one chunk of small frames.
  size_t round_bytes_max = size_t{320} << 10;

  // All half-received frames together: 64 of the largest size. An ingress that
  // would exceed it is closed with a reason.
  size_t half_received_bytes_max = size_t{1} << 30;

  // An egress's queue. Above this the ingresses that feed it are paused, until
  // it is below half. 16 default pipes. Not tuned.
  size_t egress_queue_bytes_max = size_t{1} << 20;

  // The same in messages; 0: only the bytes count. A subscriber may ask for
  // smaller bounds in its Hello.
  size_t egress_queue_messages_max = 0;

  // The policies that a subscriber may ask for.
  std::vector<Overflow> overflow_allowed = {
      Overflow::kDropOldest, Overflow::kDropNewest, Overflow::kLatest,
      Overflow::kDisconnect, Overflow::kBlock};

  // The bytes of answers that a client may let wait. Above this the session is
  // ended, because an answer must not be dropped. Not tuned.
  size_t control_bytes_max = size_t{1} << 20;

  // A rest of a chunk up to this size is copied when it is queued; a larger one
  // keeps the chunk. A tenth of a chunk, so that a queue pins at most ten times
  // what it holds. Not tuned.
  size_t copied_rest_bytes_max = size_t{32} << 10;

  // How long an egress may hold ingresses paused before it is stalled.
  absl::Duration stall_timeout = absl::Seconds(1);

  // How long publishers may take to finish when the broker stops.
  absl::Duration drain_timeout = absl::Seconds(5);

  // Topics of which one worker remembers the route. Above this the worker
  // forgets all routes and begins anew. 16384 of about 400 bytes are 6.5 MB a
  // worker.
  size_t routes_max = 16384;

  // Subscribers in these routes, all together: 16 MiB a worker.
  size_t route_targets_max = size_t{1} << 20;

  // Topics that statistics are kept of; above it those that were idle for
  // longest are forgotten. A listing of so many fits a frame of the largest
  // size.
  size_t topic_stats_max = 32768;

  // Patterns of one session. Not tuned.
  size_t session_patterns_max = 65536;

  // Topics of which the last messages are kept, whether they were published
  // with `retain` or not. Of several rules that match, the largest count
  // decides.
  std::vector<HistoryRule> history;

  // What the configuration settles by topic. Broker::SetTopicRules replaces
  // these rules while the broker runs.
  std::vector<TopicRule> topics;

  // What survives the broker: DIR/logs/NAME for each log. Not on a file system in
  // memory. Needed only if there are logs.
  std::string state_dir;

  // The logs, in their order: a topic belongs to the first that matches it.
  // Broker::SetLogs replaces these rules while the broker runs.
  std::vector<LogRule> logs;

  // How many topics may have a retained value, each also a file, and the bytes
  // of all values together: 16 of the largest frames. Not tuned.
  size_t retained_topics_max = 65536;
  size_t retained_bytes_max = size_t{256} << 20;

  // The shortest time between two writes of a T.last file whose value keeps
  // changing, and so the age of what a killed broker has not written yet. Not
  // tuned.
  absl::Duration retained_write_interval = absl::Milliseconds(100);

  // The time between two messages on $sys/stats, while it has a subscriber. Not
  // tuned.
  absl::Duration sys_stats_interval = absl::Seconds(5);

  // What one member of a queue group gets in its turn, if there is so much. A
  // run costs a system call, so it should be long. It lies with one member
  // while others may be idle, so it should be short. Not tuned.
  size_t group_run_messages_max = 64;
  size_t group_run_bytes_max = size_t{64} << 10;

  // How long an acknowledging group without members waits for one: long enough
  // to restart all of them. Not tuned.
  absl::Duration group_linger = absl::Seconds(60);

  // The most that members of an acknowledging group may ask for. Each message
  // without an answer is kept in memory. Not tuned.
  uint32_t group_unacked_max = 4096;
  absl::Duration group_ack_timeout_max = absl::Hours(24);
  uint32_t group_deliveries_max = 1000;

  // The bytes that one member may hold without an answer: one frame of the
  // largest size. A single message may exceed it.
  size_t group_unacked_bytes_max = size_t{16} << 20;

  // How long an upgrade waits until all that was read has been passed on, and how
  // long the next program may take to check what it is to take over. Then the
  // upgrade fails. Publishers wait meanwhile. Not tuned.
  absl::Duration upgrade_rest_patience = absl::Seconds(2);
  absl::Duration upgrade_check_patience = absl::Seconds(10);

  // A line written to a tap, newline included: PIPE_BUF, above which writes of
  // several writers mix.
  size_t tap_line_bytes_max = 4096;

  // Descriptors that are held in reserve, so that a broker that has run out of
  // them can still read a directory and refuse a client with a reason: a pair
  // of pipes, a directory, spare.
  int reserve_descriptors = 8;

  // Regular files in place of taps whose lines are being published: each holds a
  // descriptor. Not tuned.
  size_t stray_files_max = 64;

  // The size that a session's pipes get from the start, as far as the kernel
  // allows. 0: the kernel's default of 64 KiB.
  size_t session_pipe_bytes = 0;

  // The size to which a pipe grows that is found full. `ingress`: the broker
  // reads from it. `egress`: the broker writes to it. `large`: a single range
  // is larger than that; this is the kernel's default for pipe-max-size. 0:
  // such pipes never grow. A small pipe costs wake-ups, a large one cache and
  // waiting time: bench/DECISIONS.md.
  size_t ingress_pipe_bytes = size_t{256} << 10;
  size_t egress_pipe_bytes = size_t{512} << 10;
  size_t large_pipe_bytes = size_t{1} << 20;

  // What all grown pipes take together, unless half of what the kernel lets the
  // user have is less (broker/io/pipe_allowance.h). Pipes larger than
  // ingress_pipe_bytes take at most half of it; once that is spent, pipes grow
  // to ingress_pipe_bytes only. Enough for 128 subscribers whose pipes have
  // 1 MiB: what does not fit a pipe is copied and not handed on by tee(2).
  size_t grown_pipes_bytes_max = size_t{256} << 20;

  // A frame of at least staged_bytes_min, which is at least
  // staged_total_bytes_min for all its subscribers together, is written into a
  // pipe once and handed on by tee(2) instead of being copied for each. Less
  // than a page would waste the slots of the subscribers' pipes. Below the
  // second number staging costs more than it saves: bench/DECISIONS.md.
  size_t staged_bytes_min = size_t{4} << 10;
  size_t staged_total_bytes_min = size_t{40} << 10;

  // A log begins its next segment when this one is so large. Recovery reads one
  // segment, and retention takes whole ones away. Not tuned.
  size_t log_segment_bytes = size_t{64} << 20;

  // The bytes of a log that are not on disk yet. Above this its publishers are
  // paused, until it is below half. 25 chunks. Not tuned.
  size_t log_backlog_bytes_max = size_t{8} << 20;

  // The answers of one session that wait for a log. Above this its publisher is
  // paused, until they are below half. A Confirm has at most 50 bytes, so those
  // that one commit makes due stay below control_bytes_max, with what a chunk
  // adds. Not tuned.
  size_t log_answers_max = 8192;

  // The publishers whose last sequence a log remembers. A new one beyond them
  // is refused, because forgetting one would store its repeats twice. Each
  // segment begins with the table: at most 1.1 MB. Not tuned.
  size_t log_publishers_max = 4096;

  // A segment's index has one entry for so many bytes. A reader that begins in
  // the middle of a segment reads at most so much for nothing. Not tuned.
  size_t log_index_bytes = size_t{64} << 10;

  // An idle log writes the batch that covers its last one so late. Not tuned.
  absl::Duration log_cover_delay = absl::Seconds(1);

  // How often a log whose disk is full tries again. Not tuned.
  absl::Duration log_full_retry = absl::Milliseconds(500);

  // How often retention looks at a log. Not tuned.
  absl::Duration log_retention_interval = absl::Seconds(10);

  // What a reader of a log reads of its file at once: a chunk's worth, and at
  // least one batch. And what a worker keeps of that for the readers of one
  // log. Not tuned.
  size_t log_block_bytes = size_t{256} << 10;
  size_t log_blocks_bytes_max = size_t{2} << 20;

  // Batches of at least this size go from the file to a subscriber's pipe by
  // splice(2), if they were read and checked so lately: their pages are in the
  // page cache still. Smaller ones are copied, which spares system calls and
  // the pipe's slots: bench/DECISIONS.md.
  size_t log_splice_bytes_min = size_t{32} << 10;
  absl::Duration log_splice_age_max = absl::Milliseconds(100);

  // What a reader of a log gets or passes over before the other work of its
  // worker has its turn. Not tuned.
  size_t log_turn_bytes = size_t{1} << 20;

  // How long after a failure a reader tries to read again. Not tuned.
  absl::Duration log_read_retry = absl::Milliseconds(500);

  // The durable readers of one log. Each has an entry in a file that is written
  // after a change. Not tuned.
  size_t log_readers_max = 1024;

  // Ranges of offsets above its position with which a durable reader is done,
  // as far as the file holds them. What is done beyond them is delivered again
  // when the broker was restarted. 16 KiB a reader. Not tuned.
  size_t log_reader_ranges_max = 1024;

  // The shortest time between two writes of the durable readers' positions, and
  // so the age of what a killed broker has not written yet. Not tuned.
  absl::Duration log_readers_write_interval = absl::Milliseconds(100);

  // The torn tails that a log keeps for people to look at. Not tuned.
  size_t log_torn_files_max = 8;
};

// The queue of a subscriber that asks for nothing else.
inline OverflowPolicy UsualPolicy(const BrokerOptions& options) {
  return {Overflow::kDropOldest,
          {options.egress_queue_bytes_max, options.egress_queue_messages_max}};
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_OPTIONS_H_
