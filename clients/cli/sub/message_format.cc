#include "clients/cli/sub/message_format.h"

#include <optional>

#include "fmt/format.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

constexpr std::string_view kHeaderField = "header:";

absl::Status Fault(std::string_view text, size_t at, std::string_view what) {
  return absl::InvalidArgumentError(
      fmt::format("\"{}\", at character {}: {}", text, at + 1, what));
}

// The character that a backslash and `c` mean, as in C; nothing if they mean
// none.
std::optional<char> Escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return '\0';
    case '\\':
      return '\\';
    default:
      return std::nullopt;
  }
}

void AppendHeader(const MessageView& message, std::string_view name,
                  std::string& out) {
  std::string_view value;
  HeaderReader headers(message);
  while (const std::optional<HeaderView> header = headers.Next()) {
    if (header->name == name) value = header->value;
  }
  out += value;
}

}  // namespace

absl::StatusOr<MessageFormat::Piece> MessageFormat::ParseField(
    std::string_view name) {
  if (name.starts_with(kHeaderField) && name.size() > kHeaderField.size()) {
    return Piece{Field::kHeader, std::string(name.substr(kHeaderField.size()))};
  }
  static constexpr struct {
    std::string_view name;
    Field field;
  } kFields[] = {
      {"topic", Field::kTopic},
      {"payload", Field::kPayload},
      {"sequence", Field::kSequence},
      {"time", Field::kTime},
      {"reply_topic", Field::kReplyTopic},
      {"content_type", Field::kContentType},
      {"expiry", Field::kExpiry},
      {"size", Field::kSize},
      {"retained", Field::kRetained},
      {"delivery_count", Field::kDeliveryCount},
      {"offset", Field::kOffset},
      {"stored_time", Field::kStoredTime},
      {"json", Field::kJson},
  };
  std::string known;
  for (const auto& field : kFields) {
    if (field.name == name) return Piece{field.field, ""};
    known += fmt::format("{}, ", field.name);
  }
  return absl::InvalidArgumentError(
      fmt::format("{{{}}} is no field; there are {}header:NAME, and {{{{ for a "
                  "brace",
                  name, known));
}

void MessageFormat::AddText(char c) {
  if (pieces_.empty() || pieces_.back().field != Field::kText) {
    pieces_.emplace_back();
  }
  pieces_.back().text += c;
}

absl::StatusOr<MessageFormat> MessageFormat::Parse(std::string_view text) {
  MessageFormat format;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at + 1);
    if (text[at] == '\\') {
      const auto c = rest.empty() ? std::nullopt : Escaped(rest[0]);
      if (!c) return Fault(text, at, "a \\ wants n, t, r, 0 or \\ behind it");
      format.AddText(*c);
      ++at;
    } else if (text[at] != '{') {
      format.AddText(text[at]);
    } else if (rest.starts_with('{')) {
      format.AddText('{');
      ++at;
    } else {
      const size_t end = rest.find('}');
      if (end == std::string_view::npos) {
        return Fault(text, at, "the { is not closed; {{ stands for a brace");
      }
      auto piece = ParseField(rest.substr(0, end));
      if (!piece.ok()) {
        const absl::string_view what = piece.status().message();
        return Fault(text, at, std::string_view(what.data(), what.size()));
      }
      format.pieces_.push_back(*std::move(piece));
      at += end + 1;
    }
  }
  return format;
}

void MessageFormat::Append(const MessageView& message,
                           const DeliveryView& delivery,
                           std::string& out) const {
  for (const Piece& piece : pieces_) {
    AppendPiece(piece, message, delivery, out);
  }
}

void MessageFormat::AppendPiece(const Piece& piece, const MessageView& message,
                                const DeliveryView& delivery,
                                std::string& out) {
  switch (piece.field) {
    case Field::kText:
      out += piece.text;
      return;
    case Field::kTopic:
      out += message.topic;
      return;
    case Field::kPayload:
      out += message.payload;
      return;
    case Field::kSequence:
      out += std::to_string(message.sequence);
      return;
    case Field::kTime:
      AppendTimeText(message.publish_time_unix_nanos, out);
      return;
    case Field::kReplyTopic:
      out += message.reply_topic;
      return;
    case Field::kContentType:
      out += message.content_type;
      return;
    case Field::kExpiry:
      AppendTimeText(message.expiry_unix_nanos, out);
      return;
    case Field::kHeader:
      AppendHeader(message, piece.text, out);
      return;
    case Field::kSize:
      out += std::to_string(message.payload.size());
      return;
    case Field::kRetained:
      out += delivery.retained ? "true" : "false";
      return;
    case Field::kDeliveryCount:
      out += std::to_string(delivery.delivery_count);
      return;
    case Field::kOffset:
      out += std::to_string(delivery.offset);
      return;
    case Field::kStoredTime:
      AppendTimeText(delivery.stored_time_unix_nanos, out);
      return;
    case Field::kJson:
      AppendJsonLine(message, delivery, out);
      out.pop_back();  // its newline
      return;
  }
}

}  // namespace fifobus::cli
