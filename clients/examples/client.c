/* A fifobus client in C: no C++, no protobuf library, one file.
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kMessage = 1, kWelcome = 3, kGap = 8, kError = 16, kGoodbye = 17 };
enum { kFrameBytesMax = 16 << 20, kReadBytes = 64 << 10 };

/* Bytes that grow. */
typedef struct {
  unsigned char* bytes;
  size_t size, capacity;
} Buffer;

static void Append(Buffer* buffer, const void* bytes, size_t size) {
  if (size == 0) return;
  if (buffer->size + size > buffer->capacity) {
    buffer->capacity = 2 * (buffer->size + size);
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
    if (buffer->bytes == NULL) abort();
  }
  memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
}

static void RemoveFront(Buffer* buffer, size_t size) {
  memmove(buffer->bytes, buffer->bytes + size, buffer->size - size);
  buffer->size -= size;
}

static void AppendVarint(Buffer* out, uint64_t value) {
  unsigned char bytes[10];
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = (uint8_t)(value | 0x80);
  bytes[size++] = (uint8_t)value;
  Append(out, bytes, size);
}

static void AppendNumber(Buffer* out, int field, uint64_t value) {
  AppendVarint(out, (uint64_t)field << 3);
  AppendVarint(out, value);
}

static void AppendBytes(Buffer* out, int field, const void* bytes, size_t n) {
  AppendVarint(out, (uint64_t)field << 3 | 2);
  AppendVarint(out, n);
  Append(out, bytes, n);
}

/* Appends the frame of one member; returns the size of its body. */
static size_t AppendFrame(Buffer* out, int number, const Buffer* member) {
  Buffer body = {0};
  AppendBytes(&body, number, member->bytes, member->size);
  const unsigned char prefix[4] = {
      (unsigned char)(body.size >> 24), (unsigned char)(body.size >> 16),
      (unsigned char)(body.size >> 8), (unsigned char)body.size};
  Append(out, prefix, sizeof(prefix));
  Append(out, body.bytes, body.size);
  free(body.bytes);
  return body.size;
}

typedef struct {
  int number;
  uint64_t value;             /* of a varint */
  const unsigned char* bytes; /* of a field with a length... */
  size_t size;                /* ... and that length */
} Field;

static int TakeVarint(const unsigned char** at, const unsigned char* end,
                      uint64_t* value) {
  *value = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    const unsigned char byte = *(*at)++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return 1;
  }
  return 0;
}

/* 1: took one field, known or not; 0: the bytes are none. */
static int TakeField(const unsigned char** at, const unsigned char* end,
                     Field* field) {
  uint64_t tag, size;
  memset(field, 0, sizeof(*field));
  if (!TakeVarint(at, end, &tag) || tag >> 3 == 0) return 0;
  field->number = (int)(tag >> 3);
  switch (tag & 7) {
    case 0: return TakeVarint(at, end, &field->value);
    case 1: size = 8; break;
    case 2: if (!TakeVarint(at, end, &size)) return 0; break;
    case 5: size = 4; break;
    default: return 0;
  }
  if (size > (uint64_t)(end - *at)) return 0;
  field->bytes = *at;
  field->size = size;
  *at += size;
  return 1;
}

/* The last field of that number in a member; all 0 if there is none. */
static Field Find(const Field* member, int number) {
  Field found = {0}, field;
  const unsigned char* at = member->bytes;
  const unsigned char* end = at + member->size;
  while (at < end && TakeField(&at, end, &field)) {
    if (field.number == number) found = field;
  }
  return found;
}

static char bus[4000];
static char id[33];
static int down = -1, up = -1, up_reader = -1;
static Buffer in, out;
static size_t body_bytes_max = kFrameBytesMax;
static const char* pattern; /* NULL: a publisher */
static int leaving;

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
  in.size = out.size = 0;
  leaving = 0;
}

/* The client's half of the handshake; 1: the pair is in place. */
static int Offer(void) {
  unsigned char random[16];
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
  out.size = 0;
  AppendFrame(&out, 2, &hello);
  free(hello.bytes);
  const int whole = write(up, out.bytes, out.size) == (ssize_t)out.size;
  out.size = 0;
  return down >= 0 && up_reader >= 0 && whole &&
         rename(Name(".", ".down"), Name("", ".down")) == 0 &&
         rename(Name(".", ".up"), Name("", ".up")) == 0;
}

static void Wait(int for_room) {
  struct pollfd fds[2] = {{down, POLLIN, 0}, {for_room ? up : -1, POLLOUT, 0}};
  poll(fds, 2, -1);
}

/* Takes one whole frame off `in`; 0: there is none yet. Its member's bytes stay
 * valid until RemoveFront(&in, frame_bytes). */
static int TakeFrame(Field* member, size_t* frame_bytes) {
  if (in.size < 4) return 0;
  const size_t size = (size_t)in.bytes[0] << 24 | (size_t)in.bytes[1] << 16 |
                      (size_t)in.bytes[2] << 8 | in.bytes[3];
  if (size > kFrameBytesMax) Die("the broker sent no frame", "", 0);
  if (in.size < 4 + size) return 0;
  const unsigned char* at = in.bytes + 4;
  if (!TakeField(&at, in.bytes + 4 + size, member)) {
    Die("the broker sent a bad frame", "", 0);
  }
  *frame_bytes = 4 + size;
  return 1;
}

typedef enum { kBytes, kNothing, kEnd } ReadOutcome;

/* What was read stands in `in`. */
static ReadOutcome ReadDown(void) {
  static unsigned char bytes[kReadBytes];
  const ssize_t size = read(down, bytes, sizeof(bytes));
  if (size > 0) Append(&in, bytes, (size_t)size);
  return size > 0 ? kBytes : size == 0 ? kEnd : kNothing;
}

/* Waits for the broker's first frame; 0: the pair is to be given up. */
static int Greet(void) {
  int seen = 0;    /* the broker has opened `down` */
  int silent = 0;  /* milliseconds since the names are gone */
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
      unlink(Name("", ".up"));
      unlink(Name("", ".down"));
      unlink(Name(".", ".up"));
      unlink(Name(".", ".down"));
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
}

/* 0: the broker is gone. What the pipe does not take stays in `out`. */
static int Flush(void) {
  while (out.size > 0) {
    const ssize_t written = write(up, out.bytes, out.size);
    if (written < 0) return errno == EAGAIN || errno == EINTR;
    RemoveFront(&out, (size_t)written);
  }
  return 1;
}

static void OnFrame(const Field* member) {
  const Field payload = Find(member, 15), text = Find(member, 2);
  switch (member->number) {
    case kMessage:
      fwrite(payload.bytes, 1, payload.size, stdout);
      putchar('\n');
      break;
    case kGap: fprintf(stderr, "client: messages are missing here\n"); break;
    case kError: Die("the broker refused: ", text.bytes, text.size);
    case kGoodbye: leaving = 1; break;
    default: break; /* Subscribed, Delivery */
  }
}

/* Reads what there is; 0: the broker is gone. */
static int Receive(void) {
  ReadOutcome outcome;
  while ((outcome = ReadDown()) == kBytes) {
    Field member;
    size_t frame_bytes;
    while (TakeFrame(&member, &frame_bytes)) {
      OnFrame(&member);
      RemoveFront(&in, frame_bytes);
    }
  }
  fflush(stdout);
  if (leaving && up >= 0) {
    close(up);
    up = -1;
    out.size = 0;
  }
  return outcome != kEnd;
}

static void Subscribe(void) {
  Connect();
  while (1) {
    if ((up >= 0 && !Flush()) || !Receive()) {
      fprintf(stderr, "client: the broker is gone; messages may be missing\n");
      Connect();
    }
    Wait(out.size > 0);
  }
}

/* Puts one message into the pipe, whole, in whichever session. */
static void Publish(const char* topic, const void* payload, size_t size) {
  Buffer message = {0}, frame = {0};
  AppendBytes(&message, 1, topic, strlen(topic));
  AppendBytes(&message, 15, payload, size);
  if (AppendFrame(&frame, kMessage, &message) > body_bytes_max) {
    Die("the line is too long for this bus", "", 0);
  }
  while (1) {
    if (up < 0) Connect();
    out.size = 0;
    Append(&out, frame.bytes, frame.size);
    while (Flush() && out.size > 0 && Receive() && up >= 0) Wait(1);
    /* Not all of it was written: the next session gets it anew. */
    if (up >= 0 && out.size == 0) break;
    CloseAll();
  }
  free(message.bytes);
  free(frame.bytes);
}

static int IsTopic(const char* topic) {
  const size_t size = strlen(topic);
  return size > 0 && size <= 200 && strstr(topic, "//") == NULL &&
         strstr(topic, "/.") == NULL && strchr("/.", topic[0]) == NULL &&
         topic[size - 1] != '/' &&
         strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789_.:@-/") == size;
}

static void PublishLines(const char* topic) {
  static char* line; /* lives as long as the program */
  size_t capacity = 0;
  ssize_t size;
  if (!IsTopic(topic)) Die("no topic: ", topic, strlen(topic));
  Connect();
  while ((size = getline(&line, &capacity, stdin)) > 0) {
    if (!Receive()) CloseAll(); /* meanwhile the broker has died */
    Publish(topic, line, (size_t)size - (line[size - 1] == '\n'));
  }
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
  return 0;
}
