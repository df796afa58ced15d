/* The frames of proto/FRAMING.md in C, byte by byte: for client.c, and for
 * programs that are made from it. */
#ifndef FIFOBUS_CLIENTS_EXAMPLES_FRAMES_H_
#define FIFOBUS_CLIENTS_EXAMPLES_FRAMES_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that grow. */
typedef struct {
  uint8_t* bytes;
  size_t size, capacity;
} Buffer;

static void Append(Buffer* buffer, const void* bytes, size_t size) {
  if (size == 0) return; /* `bytes` may be NULL, which memcpy must not get */
  if (buffer->size + size > buffer->capacity) {
    buffer->capacity = 2 * (buffer->size + size);
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
    if (buffer->bytes == NULL) abort();
  }
  memcpy(buffer->bytes + buffer->size, bytes, size);
  buffer->size += size;
}

static void RemoveFront(Buffer* buffer, size_t size) {
  if (size == 0) return;
  memmove(buffer->bytes, buffer->bytes + size, buffer->size - size);
  buffer->size -= size;
}

static void AppendVarint(Buffer* out, uint64_t value) {
  uint8_t bytes[10];
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
  const uint8_t prefix[4] = {(uint8_t)(body.size >> 24),
                             (uint8_t)(body.size >> 16),
                             (uint8_t)(body.size >> 8), (uint8_t)body.size};
  Append(out, prefix, sizeof(prefix));
  Append(out, body.bytes, body.size);
  free(body.bytes);
  return body.size;
}

typedef struct {
  int number;
  uint64_t value;       /* of a varint */
  const uint8_t* bytes; /* of a field with a length... */
  size_t size;          /* ... and that length */
} Field;

static int TakeVarint(const uint8_t** at, const uint8_t* end, uint64_t* value) {
  *value = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    const uint8_t byte = *(*at)++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return 1;
  }
  return 0;
}

/* 1: took one field, known or not; 0: the bytes are none. */
static int TakeField(const uint8_t** at, const uint8_t* end, Field* field) {
  uint64_t tag, size;
  memset(field, 0, sizeof(*field));
  if (!TakeVarint(at, end, &tag) || tag >> 3 == 0) return 0;
  field->number = (int)(tag >> 3);
  switch (tag & 7) {
    case 0:
      return TakeVarint(at, end, &field->value);
    case 1:
      size = 8;
      break;
    case 2:
      if (!TakeVarint(at, end, &size)) return 0;
      break;
    case 5:
      size = 4;
      break;
    default:
      return 0;
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
  const uint8_t *at = member->bytes, *end = at + member->size;
  while (at < end && TakeField(&at, end, &field)) {
    if (field.number == number) found = field;
  }
  return found;
}

#endif /* FIFOBUS_CLIENTS_EXAMPLES_FRAMES_H_ */
