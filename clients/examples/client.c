/* A fifobus client in C: no C++, no protobuf library, and frames.h beside it.
 *
 *   client sub PATTERN     prints each payload and a newline
 *   client pub TOPIC       publishes each line of standard input
 *
 * Written from proto/PROTOCOL.md and proto/FRAMING.md, whose words it uses.
 * `fifobus conformance -- client` finds nothing to complain about. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clients/examples/frames.h"

enum { kMessage = 1, kWelcome = 3, kGap = 8, kPong = 13, kError = 16 };
enum { kGoodbye = 17 };
enum { kFrameBytesMax = 16 << 20, kReadBytes = 64 << 10 };
enum { kSentBytes = 128 << 10 };

static char bus[4000];
static char id[33];
static int down = -1, up = -1, up_reader = -1;
static Buffer in, out;
/* What was written in this session, from the first frame that may be unread on;
 * whether messages before it were read; and what the next session begins with.
 */
static Buffer sent, again;
static int sent_were_read, again_messages;
static size_t body_bytes_max = kFrameBytesMax;
static const char* pattern;              /* NULL: a publisher */
static int leaving, pong, lost, expired; /* what was heard, and what was not */

static _Noreturn void Die(const char* text, const void* detail, size_t size) {
  fprintf(stderr, "client: %s%.*s\n", text, (int)size, (const char*)detail);
  exit(1);
}

static int IsAlive(const char* dir) {
  struct stat status;
  char path[4096], byte;
  if (lstat(dir, &status) != 0 || !S_ISDIR(status.st_mode)) return 0;
  if (status.st_uid != geteuid() && status.st_uid != 0) return 0;
  snprintf(path, sizeof(path), "%s/alive", dir);
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return 0;
  const int alive = read(fd, &byte, 1) < 0 && errno == EAGAIN;
  close(fd);
  return alive;
}

static int FindBus(void) {
  const char* chosen = getenv("FIFOBUS_DIR");
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  snprintf(bus, sizeof(bus), "%s", chosen ? chosen : "/run/fifobus");
  if (chosen || IsAlive(bus)) return IsAlive(bus);
  snprintf(bus, sizeof(bus), "%s/fifobus", runtime ? runtime : "");
  if (IsAlive(bus)) return 1;
  snprintf(bus, sizeof(bus), "/dev/shm/fifobus-%u", (unsigned)getuid());
  return IsAlive(bus);
}

/* One of the pair's names: dot is "." or "", end ".up" or ".down". */
static const char* Name(const char* dot, const char* end) {
  static char name[2][4096];
  static int which;
  which = !which;
  snprintf(name[which], 4096, "%s/sessions/%s%s%s", bus, dot, id, end);
  return name[which];
}

static void CloseAll(void) {
  close(up); /* of -1 does nothing */
  close(up_reader);
  close(down);
  up = up_reader = down = -1;
  in.size = out.size = sent.size = 0;
  leaving = sent_were_read = 0;
}

/* Of `up`, which holds the end of what was sent, if no other process writes. */
static size_t Unread(void) {
  int bytes = 0;
  const int known = ioctl(up, FIONREAD, &bytes) == 0;
  return known && (size_t)bytes <= sent.size ? (size_t)bytes : 0;
}

static size_t SizeOfFrame(const uint8_t* at) {
  return 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 |
              at[3]);
}

/* Forgets frames at the front that were read. */
static void TrimSent(void) {
  const size_t read = sent.size - Unread();
  size_t at = 0;
  while (at < read && at + SizeOfFrame(sent.bytes + at) <= read)
    at += SizeOfFrame(sent.bytes + at);
  sent_were_read |= at > 0;
  RemoveFront(&sent, at);
}

/* The session is over: messages whose last byte nobody has read are published
 * again. `unread` bytes are in the pipe. 1: others were read, and perhaps not
 * passed on. */
static int TakeBack(size_t unread) {
  const size_t read = sent.size - unread;
  Append(&sent, out.bytes, out.size);
  out.size = 0;
  for (size_t at = 0, end; at < sent.size; at = end) {
    end = at + SizeOfFrame(sent.bytes + at);
    if (sent.bytes[at + 4] != (kMessage << 3 | 2)) continue;
    if (end <= read) {
      sent_were_read = 1;
    } else {
      Append(&again, sent.bytes + at, end - at);
      ++again_messages;
    }
  }
  sent.size = 0;
  return sent_were_read;
}

/* The client's half of the handshake; 1: the pair is in place. */
static int Offer(void) {
  uint8_t random[16];
  Buffer hello = {0};
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) return 0;
  for (int i = 0; i < 16; ++i) sprintf(id + 2 * i, "%02x", random[i]);
  mkfifo(Name(".", ".down"), 0600);
  mkfifo(Name(".", ".up"), 0600);
  const int flags = O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
  down = open(Name(".", ".down"), O_RDONLY | flags);
  up_reader = open(Name(".", ".up"), O_RDONLY | flags);
  up = open(Name(".", ".up"), O_WRONLY | flags);
  AppendNumber(&hello, 1, 1); /* protocol_version */
  AppendBytes(&hello, 2, "client.c", 8);
  AppendNumber(&hello, 3, (uint64_t)getpid());
  AppendNumber(&hello, 9, (uint64_t)again_messages);
  AppendFrame(&out, 2, &hello);
  free(hello.bytes);
  const int whole = write(up, out.bytes, out.size) == (ssize_t)out.size;
  out.size = 0;
  return down >= 0 && up_reader >= 0 && whole &&
         rename(Name(".", ".down"), Name("", ".down")) == 0 &&
         rename(Name(".", ".up"), Name("", ".up")) == 0;
}

/* Waits for `down`, for room in `up`, and for one more; says what that has. */
static short Wait(int for_room, int fd, short events) {
  struct pollfd fds[3] = {
      {down, POLLIN, 0}, {for_room ? up : -1, POLLOUT, 0}, {fd, events, 0}};
  return poll(fds, 3, -1) < 0 ? 0 : fds[2].revents;
}

/* Takes one whole frame off `in`; 0: there is none yet. Its member's bytes stay
 * valid until RemoveFront(&in, frame_bytes). */
static int TakeFrame(Field* member, size_t* frame_bytes) {
  if (in.size < 4) return 0;
  const size_t size = SizeOfFrame(in.bytes) - 4;
  if (size > kFrameBytesMax) Die("the broker sent no frame", "", 0);
  if (in.size < 4 + size) return 0;
  const uint8_t* at = in.bytes + 4;
  if (!TakeField(&at, at + size, member)) Die("the frame is bad", "", 0);
  *frame_bytes = 4 + size;
  return 1;
}

typedef enum { kBytes, kNothing, kEnd } ReadOutcome; /* the rest is in `in` */
static ReadOutcome ReadDown(void) {
  static uint8_t bytes[kReadBytes];
  const ssize_t size = read(down, bytes, sizeof(bytes));
  if (size > 0) Append(&in, bytes, (size_t)size);
  return size > 0 ? kBytes : size == 0 ? kEnd : kNothing;
}

/* Waits for the broker's first frame; 0: the pair is to be given up. */
static int Greet(void) {
  int seen = 0, silent = 0; /* `down` is open; ms since the names are gone */
  Field member;
  size_t frame_bytes;
  while (!TakeFrame(&member, &frame_bytes)) {
    const ReadOutcome outcome = ReadDown();
    if (outcome == kBytes) continue;
    if (outcome == kEnd && (seen || silent > 1000)) return 0;
    if (!IsAlive(bus)) return 0;
    seen |= outcome == kNothing;
    if (access(Name("", ".up"), F_OK) != 0) silent += 2;
    poll(NULL, 0, 2);
  }
  if (member.number != kWelcome) {
    const Field text = Find(&member, 2);
    if (Find(&member, 1).value == 7) return 0; /* CODE_LIMIT passes */
    Die("refused: ", text.bytes, text.size);
  }
  body_bytes_max = Find(&member, 2).value;
  RemoveFront(&in, frame_bytes);
  close(up_reader);
  up_reader = -1;
  return 1;
}

/* Returns when there is a session, however long it takes. */
static void Connect(void) {
  int pause = 2;
  while (1) {
    CloseAll();
    if (FindBus()) {
      if (Offer() && Greet()) break;
      for (int i = 0; i < 4; ++i)
        unlink(Name(i % 2 == 0 ? "" : ".", i < 2 ? ".up" : ".down"));
    }
    poll(NULL, 0, pause);
    pause = pause < 100 ? 2 * pause : 200;
  }
  if (pattern != NULL) {
    Buffer subscribe = {0};
    AppendNumber(&subscribe, 1, 1); /* request_id */
    AppendBytes(&subscribe, 2, pattern, strlen(pattern));
    AppendFrame(&out, 4, &subscribe);
    free(subscribe.bytes);
  }
  Append(&out, again.bytes, again.size);
  again.size = 0;
  again_messages = 0;
}

/* 0: the broker is gone. What the pipe does not take stays in `out`. */
static int Flush(void) {
  while (out.size > 0) {
    const ssize_t written = write(up, out.bytes, out.size);
    if (written < 0) return errno == EAGAIN || errno == EINTR;
    Append(&sent, out.bytes, (size_t)written);
    RemoveFront(&out, (size_t)written);
  }
  return 1;
}

static void OnMessage(const Field* message) {
  const Field payload = Find(message, 15);
  const uint64_t expiry = Find(message, 6).value; /* by the wall clock */
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (expiry != 0 &&
      expiry <= (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) {
    fprintf(stderr, "client: message %d that has expired\n", ++expired);
    return;
  }
  fwrite(payload.bytes, 1, payload.size, stdout);
  putchar('\n');
}

static void OnFrame(const Field* member) {
  const Field text = Find(member, 2);
  switch (member->number) {
    case kMessage:
      OnMessage(member);
      break;
    case kGap:
      fprintf(stderr, "client: messages are missing here\n");
      break;
    case kPong:
      pong = 1;
      break;
    case kError:
      Die("the broker refused: ", text.bytes, text.size);
    case kGoodbye:
      leaving = 1;
      break;
    default:
      break; /* Subscribed, Delivery */
  }
}

/* Reads what there is; 0: the broker is gone. */
static int Receive(void) {
  ReadOutcome outcome;
  Field member;
  size_t frame_bytes;
  while ((outcome = ReadDown()) == kBytes) {
    while (TakeFrame(&member, &frame_bytes)) {
      OnFrame(&member);
      RemoveFront(&in, frame_bytes);
    }
  }
  fflush(stdout);
  if (leaving && up >= 0) {
    (void)TakeBack(0); /* the broker reads on, but what is begun is not whole */
    close(up);
    up = -1;
  }
  return outcome != kEnd;
}

/* Reads what the broker said last, which may be why the session ends. */
static void EndSession(void) {
  const int unknown = up >= 0 && TakeBack(Unread());
  close(up);
  up = -1;
  while (down >= 0 && Receive()) Wait(0, -1, 0);
  if (down >= 0 && (pattern != NULL || unknown)) {
    lost = 1;
    fprintf(stderr, "client: the broker is gone; messages may be missing\n");
  }
  CloseAll();
}

static void Subscribe(void) {
  while (1) {
    if (down < 0) Connect();
    if ((up >= 0 && !Flush()) || !Receive()) {
      EndSession();
      continue;
    }
    /* What reads the output may go while nothing is published. */
    if ((Wait(out.size > 0, STDOUT_FILENO, 0) & POLLERR) != 0) exit(0);
  }
}

/* Puts one message into the pipe, whole, behind what is left to be written. */
static void Publish(const char* topic, const void* payload, size_t size) {
  static Buffer message;
  message.size = 0;
  AppendBytes(&message, 1, topic, strlen(topic));
  AppendBytes(&message, 15, payload, size);
  if (up < 0) {
    EndSession();
    Connect();
  }
  if (AppendFrame(&out, kMessage, &message) > body_bytes_max)
    Die("the line is too long for this bus", "", 0);
  while (up >= 0 && Flush() && out.size > 0 && Receive()) Wait(1, -1, 0);
  /* What was not written to its end is taken back for the next session. */
  if (up < 0 || out.size > 0) EndSession();
  if (sent.size > kSentBytes) TrimSent();
}

static int IsTopic(const char* topic) {
  const size_t size = strlen(topic);
  return size > 0 && size <= 200 && strstr(topic, "//") == NULL &&
         strstr(topic, "/.") == NULL && strchr("/.", topic[0]) == NULL &&
         topic[size - 1] != '/' &&
         strspn(topic,
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                "0123456789_.:@-/") == size;
}

/* Publishes the whole lines of `lines`, and at the end the rest as well. */
static void PublishWhole(const char* topic, Buffer* lines, int at_end) {
  const uint8_t *at = lines->bytes, *newline;
  size_t left = lines->size;
  while (left > 0 && (newline = memchr(at, '\n', left)) != NULL) {
    Publish(topic, at, (size_t)(newline - at));
    left -= (size_t)(newline + 1 - at);
    at = newline + 1;
  }
  if (at_end && left > 0) Publish(topic, at, left);
  if (lines->size > left) RemoveFront(lines, lines->size - left);
}

/* Waits until the broker has taken, or refused, all that was published. */
static void AwaitPong(void) {
  Buffer ping = {0};
  int asked = 0;
  AppendNumber(&ping, 1, 1); /* token */
  while (!pong && (up >= 0 || again_messages > 0)) {
    if (up < 0) {
      Connect();
      asked = 0;
    }
    if (!asked) AppendFrame(&out, 12, &ping);
    asked = 1;
    if (!Flush() || !Receive()) EndSession();
    if (up >= 0 && !pong) Wait(out.size > 0, -1, 0);
  }
  free(ping.bytes);
}

static void PublishLines(const char* topic) {
  static Buffer lines; /* lives as long as the program */
  static uint8_t bytes[kReadBytes];
  if (!IsTopic(topic)) Die("no topic: ", topic, strlen(topic));
  Connect();
  for (ssize_t size = 1; size > 0;) {
    /* The broker may stop while there is nothing to publish. */
    const short input = Wait(out.size > 0, STDIN_FILENO, POLLIN);
    if (!Receive()) EndSession();
    if (up < 0 && again_messages > 0) Connect();
    if (up >= 0 && !Flush()) EndSession();
    if (input == 0) continue;
    size = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (size > 0) Append(&lines, bytes, (size_t)size);
    PublishWhole(topic, &lines, size <= 0);
  }
  AwaitPong();
  CloseAll(); /* without Goodbye: a client with a will would say it here */
}

int main(int argc, char** argv) {
  if (argc != 3) Die("usage: client sub PATTERN | client pub TOPIC", "", 0);
  /* A program may do this; a library must not, and blocks it while it writes. */
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(argv[1], "sub") == 0) {
    pattern = argv[2];
    Subscribe();
  } else {
    PublishLines(argv[2]);
  }
  return lost;
}
