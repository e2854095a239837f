#include "examples/http/framer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "examples/http/text.hpp"

namespace http {

namespace {

using Bytes = std::array<bool, 256>;  // a set of them

constexpr Bytes kToken = [] {  // RFC 9110, 5.6.2
  Bytes set{};
  constexpr std::string_view kAll = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (const char c : kAll) set[static_cast<unsigned char>(c)] = true;
  return set;
}();

constexpr Bytes kTarget = [] {  // all that shows, and UTF-8, which clients send though they should not
  Bytes set{};
  for (std::size_t c = '!'; c < set.size(); ++c) set[c] = c != 0x7f;
  return set;
}();

constexpr Bytes kValue = [] {
  Bytes set = kTarget;
  set[' '] = set['\t'] = true;
  return set;
}();

std::size_t run(std::string_view in, std::size_t at, const Bytes& set) {
  while (at < in.size() && set[static_cast<unsigned char>(in[at])]) ++at;
  return at;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = (c | 0x20) - 'a';
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

}  // namespace

Framer::Result Framer::find_end(std::string_view unread) {
  if (phase_ == Phase::kStart && at_ == 0) *this = Framer();
  for (;;) {
    // Nothing behind the limit is looked at: how much of it happens to be there must not matter.
    switch (step(unread.substr(0, limit_))) {
      case Step::kNext:
        break;
      case Step::kMore:
        if (unread.size() < limit_) return {Status::kMore, 0};
        return {phase_ < Phase::kBody ? Status::kHeadTooLarge : Status::kTooLarge, 0};
      case Step::kContinue:
        return {Status::kContinue, 0};
      case Step::kBad:
        return {Status::kBadRequest, 0};
      case Step::kTooLarge:
        return {Status::kTooLarge, 0};
      case Step::kDone:
        phase_ = Phase::kStart;
        return {Status::kDone, std::exchange(at_, 0)};
    }
  }
}

Framer::Step Framer::step(std::string_view in) {
  if (at_ == in.size()) return Step::kMore;
  switch (phase_) {
    case Phase::kStart:
      return start(in);
    case Phase::kStartLf:
      return expect(in, '\n', Phase::kStart);
    case Phase::kMethod:
      return method(in);
    case Phase::kTarget:
      return target(in);
    case Phase::kVersion:
      return version(in);
    case Phase::kField:
      return field(in);
    case Phase::kName:
      return name(in);
    case Phase::kValue:
      return value(in);
    case Phase::kValueLf:
      return expect(in, '\n', Phase::kField);
    case Phase::kHeadLf:
      return end_of_head(in);
    case Phase::kChunkSize:
      return chunk_size(in);
    case Phase::kChunkExtension:
      return chunk_extension(in);
    case Phase::kChunkSizeLf:
      return end_of_chunk_size(in);
    case Phase::kBody:
    case Phase::kChunk:
      return body(in);
    case Phase::kChunkCr:
      return expect(in, '\r', Phase::kChunkLf);
    case Phase::kChunkLf:
      return expect(in, '\n', Phase::kChunkSize);
  }
  return Step::kBad;
}

Framer::Step Framer::go(Phase next) noexcept {
  phase_ = next;
  mark_ = at_;
  return Step::kNext;
}

Framer::Step Framer::expect(std::string_view in, char byte, Phase next) {
  if (in[at_] != byte) return Step::kBad;
  ++at_;
  return go(next);
}

// Empty lines before a request are passed over (RFC 9112, 2.2): old clients end a body with one.
Framer::Step Framer::start(std::string_view in) {
  return in[at_] == '\r' ? expect(in, '\r', Phase::kStartLf) : go(Phase::kMethod);
}

Framer::Step Framer::method(std::string_view in) {
  at_ = run(in, at_, kToken);
  if (at_ == in.size()) return Step::kMore;
  if (at_ == mark_) return Step::kBad;
  is_head_ = in.substr(mark_, at_ - mark_) == "HEAD";
  return expect(in, ' ', Phase::kTarget);
}

Framer::Step Framer::target(std::string_view in) {
  at_ = run(in, at_, kTarget);
  if (at_ == in.size()) return Step::kMore;
  if (at_ == mark_) return Step::kBad;
  return expect(in, ' ', Phase::kVersion);
}

Framer::Step Framer::version(std::string_view in) {
  constexpr std::string_view kLine = "HTTP/1.x\r\n";
  for (; at_ < in.size(); ++at_) {
    const std::size_t i = at_ - mark_;
    if (i == kLine.size()) return go(Phase::kField);
    if (kLine[i] == 'x') {
      if (in[at_] < '0' || in[at_] > '9') return Step::kBad;
      minor_ = static_cast<std::uint8_t>(in[at_] - '0');
    } else if (in[at_] != kLine[i]) {
      return Step::kBad;
    }
  }
  return Step::kMore;
}

Framer::Step Framer::field(std::string_view in) {
  return in[at_] == '\r' ? expect(in, '\r', Phase::kHeadLf) : go(Phase::kName);
}

Framer::Step Framer::name(std::string_view in) {
  at_ = run(in, at_, kToken);
  if (at_ == in.size()) return Step::kMore;
  if (in[at_] != ':' || at_ == mark_) return Step::kBad;
  name_end_ = at_++;
  phase_ = Phase::kValue;  // and the mark stays where the name begins
  return Step::kNext;
}

Framer::Step Framer::value(std::string_view in) {
  at_ = run(in, at_, kValue);
  if (at_ == in.size()) return Step::kMore;
  if (in[at_] != '\r') return Step::kBad;
  const Step heeded = heed(in.substr(mark_, name_end_ - mark_), trim(in.substr(name_end_ + 1, at_ - name_end_ - 1)));
  ++at_;
  return heeded == Step::kNext ? go(Phase::kValueLf) : heeded;
}

Framer::Step Framer::heed(std::string_view name, std::string_view value) {
  if (in_trailer_) return Step::kNext;  // too late to change anything (RFC 9110, 6.5.1)
  if (same_ignoring_case(name, "content-length")) return heed_length(value);
  if (same_ignoring_case(name, "transfer-encoding")) {
    if (is_chunked_ || !same_ignoring_case(value, "chunked")) return Step::kBad;
    is_chunked_ = true;
  } else if (same_ignoring_case(name, "connection")) {
    heed_connection(value);
  } else if (same_ignoring_case(name, "expect")) {
    expects_continue_ = same_ignoring_case(value, "100-continue");
  }
  return Step::kNext;
}

Framer::Step Framer::heed_length(std::string_view value) {
  if (value.empty()) return Step::kBad;
  std::size_t length = 0;
  bool too_large = false;
  for (const char c : value) {
    if (c < '0' || c > '9') return Step::kBad;
    length = length * 10 + static_cast<std::size_t>(c - '0');
    too_large = too_large || length > kMaxBody;
    if (too_large) length = 0;  // however many digits follow, it does not wrap
  }
  if (too_large) return Step::kTooLarge;
  if (has_length_ && length != length_) return Step::kBad;
  has_length_ = true;
  length_ = length;
  return Step::kNext;
}

void Framer::heed_connection(std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view option = trim(value.substr(0, comma));
    close_ = close_ || same_ignoring_case(option, "close");
    keep_alive_ = keep_alive_ || same_ignoring_case(option, "keep-alive");
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

Framer::Step Framer::end_of_head(std::string_view in) {
  if (in[at_] != '\n') return Step::kBad;
  ++at_;
  if (in_trailer_) return Step::kDone;
  if (is_chunked_ && (has_length_ || minor_ == 0)) return Step::kBad;
  if (!is_chunked_ && length_ == 0) return Step::kDone;
  limit_ = kMaxRequest;
  left_ = length_;
  go(is_chunked_ ? Phase::kChunkSize : Phase::kBody);
  return expects_continue_ && minor_ > 0 ? Step::kContinue : Step::kNext;
}

Framer::Step Framer::body(std::string_view in) {
  const std::size_t taken = std::min(left_, in.size() - at_);
  at_ += taken;
  left_ -= taken;
  if (left_ > 0) return Step::kMore;
  return phase_ == Phase::kBody ? Step::kDone : go(Phase::kChunkCr);
}

Framer::Step Framer::chunk_size(std::string_view in) {
  for (; at_ < in.size(); ++at_) {
    const int digit = hex(in[at_]);
    if (digit < 0) break;
    left_ = left_ * 16 + static_cast<std::size_t>(digit);
    if (left_ > kMaxBody - length_) return Step::kTooLarge;
    if (at_ - mark_ == kMaxChunkLine) return Step::kBad;
  }
  if (at_ == in.size()) return Step::kMore;
  if (at_ == mark_) return Step::kBad;
  if (in[at_] != ';') return expect(in, '\r', Phase::kChunkSizeLf);
  phase_ = Phase::kChunkExtension;
  return Step::kNext;
}

Framer::Step Framer::chunk_extension(std::string_view in) {
  const std::size_t line_limit = mark_ + kMaxChunkLine;
  at_ = run(in.substr(0, line_limit), at_, kValue);
  if (at_ == line_limit) return Step::kBad;
  return at_ == in.size() ? Step::kMore : expect(in, '\r', Phase::kChunkSizeLf);
}

Framer::Step Framer::end_of_chunk_size(std::string_view in) {
  if (in[at_] != '\n') return Step::kBad;
  ++at_;
  length_ += left_;
  if (left_ > 0) return go(Phase::kChunk);
  in_trailer_ = true;
  limit_ = std::min(at_ + kMaxHead, kMaxRequest);
  return go(Phase::kField);
}

}  // namespace http
