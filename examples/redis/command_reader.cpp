#include "examples/redis/command_reader.hpp"

#include <algorithm>
#include <charconv>

namespace redis {

namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Accepts numbers like redis-server: nothing before or after them, no leading zeros.
bool to_number(std::string_view text, std::int64_t& number) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || (digits.front() == '0' && text.size() > 1)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// The same for a number and its CRLF, in one pass; only for few digits, which is nearly always. Returns the size, or 0.
std::size_t read_short_number(std::string_view text, std::int64_t& number) {
  constexpr std::size_t kMost = 9;
  std::int64_t value = 0;
  std::size_t i = 0;
  while (i < kMost && i < text.size() && text[i] >= '0' && text[i] <= '9') value = value * 10 + (text[i++] - '0');
  if (i == 0 || (i > 1 && text[0] == '0') || text.size() < i + 2 || text[i] != '\r' || text[i + 1] != '\n') return 0;
  number = value;
  return i + 2;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = (c | 0x20) - 'a';
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

}  // namespace

CommandReader::Result CommandReader::read(std::string_view unread) {
  if (!begun_) begin();
  return unread.front() == '*' ? read_array(unread) : read_inline(unread);
}

void CommandReader::begin() {
  constexpr std::size_t kKeepArgs = 64;  // do not keep forever what one unusual command needed
  constexpr std::size_t kKeepText = 256;
  if (args_.capacity() > kKeepArgs) args_ = {};
  if (text_.capacity() > kKeepText) text_ = {};
  args_.clear();
  text_.clear();
  begun_ = true;
}

CommandReader::Result CommandReader::end(Status status, std::size_t size) noexcept {
  begun_ = false;
  at_ = searched_ = 0;
  return {status, size};
}

CommandReader::Step CommandReader::fail(std::string_view why) {
  text_ = why;
  return Step::kError;
}

void CommandReader::add_arg(std::size_t begin, std::size_t size) {
  args_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(size)});
}

CommandReader::Result CommandReader::read_array(std::string_view unread) {
  Step step = at_ == 0 ? read_count(unread) : Step::kNext;
  while (step == Step::kNext && wanted_ > 0) step = read_arg(unread);
  if (step == Step::kMore) return {Status::kMore, 0};
  if (step == Step::kError) return {Status::kError, 0};
  source_ = unread;
  return end(args_.empty() ? Status::kNothing : Status::kCommand, at_);
}

CommandReader::Step CommandReader::read_count(std::string_view unread) {
  std::int64_t count = 0;
  const Step step = read_number(unread, "too big mbulk count string", "invalid multibulk length", count);
  if (step != Step::kNext) return step;
  if (count > static_cast<std::int64_t>(kMaxArgs)) return fail("invalid multibulk length");
  wanted_ = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  return Step::kNext;
}

CommandReader::Step CommandReader::read_arg(std::string_view unread) {
  if (bulk_ < 0) {
    if (at_ == unread.size()) return Step::kMore;
    if (unread[at_] != '$') return fail(std::string("expected '$', got '") + unread[at_] + "'");
    std::int64_t size = 0;
    const Step step = read_number(unread, "too big bulk count string", "invalid bulk length", size);
    if (step != Step::kNext) return step;
    if (size < 0 || size > static_cast<std::int64_t>(kMaxCommand - std::min(at_, kMaxCommand))) {
      return fail("invalid bulk length");
    }
    bulk_ = size;
  }
  const auto size = static_cast<std::size_t>(bulk_);
  if (unread.size() - at_ < size + 2) return Step::kMore;
  if (unread[at_ + size] != '\r' || unread[at_ + size + 1] != '\n') return fail("invalid bulk length");
  add_arg(at_, size);
  at_ = searched_ = at_ + size + 2;
  bulk_ = -1;
  --wanted_;
  return Step::kNext;
}

// Reads the line at at_: a type byte and a number.
CommandReader::Step CommandReader::read_number(std::string_view unread, const char* too_long, const char* invalid,
                                               std::int64_t& number) {
  if (const std::size_t size = read_short_number(unread.substr(at_ + 1), number); size != 0) {
    at_ = searched_ = at_ + 1 + size;
    return Step::kNext;
  }
  const std::size_t limit = std::min(unread.size(), at_ + kMaxLine + 1);
  std::size_t end = std::max(searched_, at_ + 1);
  while (end < limit && unread[end] != '\r' && unread[end] != '\n') ++end;
  searched_ = end;
  if (end == limit) return end - at_ > kMaxLine ? fail(too_long) : Step::kMore;
  if (unread[end] == '\n') return fail(invalid);
  if (end + 1 == unread.size()) return Step::kMore;
  if (unread[end + 1] != '\n' || !to_number(unread.substr(at_ + 1, end - at_ - 1), number)) return fail(invalid);
  at_ = searched_ = end + 2;
  return Step::kNext;
}

CommandReader::Result CommandReader::read_inline(std::string_view unread) {
  const std::string_view looked_at = unread.substr(0, kMaxLine + 1);
  const std::size_t newline = looked_at.find('\n', searched_);
  if (newline == std::string_view::npos) {
    searched_ = looked_at.size();
    if (looked_at.size() <= kMaxLine) return {Status::kMore, 0};
    fail("too big inline request");
    return {Status::kError, 0};
  }
  std::string_view line = unread.substr(0, newline);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!split(line)) {
    fail("unbalanced quotes in request");
    return {Status::kError, 0};
  }
  source_ = text_;
  return end(args_.empty() ? Status::kNothing : Status::kCommand, newline + 1);
}

bool CommandReader::split(std::string_view line) {
  for (std::size_t i = 0;;) {
    while (i < line.size() && is_space(line[i])) ++i;
    if (i == line.size()) return true;
    const std::size_t begin = text_.size();
    if (!unquote_word(line, i)) return false;
    add_arg(begin, text_.size() - begin);
  }
}

// Quotes may begin in the middle of a word; their end is its end.
bool CommandReader::unquote_word(std::string_view line, std::size_t& i) {
  for (; i < line.size() && !is_space(line[i]); ++i) {
    if (line[i] == '"' || line[i] == '\'') return unquote(line, i) && (i == line.size() || is_space(line[i]));
    text_ += line[i];
  }
  return true;
}

bool CommandReader::unquote(std::string_view line, std::size_t& i) {
  const char quote = line[i++];
  while (i < line.size()) {
    const char c = line[i++];
    if (c == quote) return true;
    const std::string_view rest = line.substr(i);
    if (quote == '"' && c == '\\' && rest.size() >= 3 && rest[0] == 'x' && hex(rest[1]) >= 0 && hex(rest[2]) >= 0) {
      text_ += static_cast<char>(hex(rest[1]) * 16 + hex(rest[2]));
      i += 3;
    } else if (c == '\\' && !rest.empty() && (quote == '"' || rest[0] == quote)) {
      text_ += quote == '"' ? unescape(rest[0]) : rest[0];
      ++i;
    } else {
      text_ += c;
    }
  }
  return false;
}

}  // namespace redis
