#include "examples/http/framer.hpp"

#include <algorithm>
#include <utility>

#include "examples/http/text.hpp"
#include "examples/http/uri.hpp"

namespace http {

namespace {

constexpr Bytes kToken = set_of("!#$%&'*+-.^_`|~", kAlphanumeric);  // RFC 9110, 5.6.2
constexpr Bytes kBlank = set_of(" \t");

// Visible ASCII except '#', which begins a fragment and is never sent, and UTF-8, which some clients wrongly send.
constexpr Bytes kTarget = [] {
  Bytes set{};
  for (std::size_t c = '!'; c < set.size(); ++c) set[c] = c != '#' && c != 0x7f;
  return set;
}();

constexpr Bytes kValue = set_of("# \t", kTarget);  // RFC 9110, 5.5

}  // namespace

Framer::Result Framer::find_end(std::string_view unread) {
  if (phase_ == Phase::kStart && at_ == 0) *this = Framer();
  for (;;) {
    // Ignore bytes after the limit: the result must not depend on how many of them have arrived.
    const Step status = step(unread.substr(0, limit_));
    if (!status) continue;
    if (*status == Status::kDone) {
      phase_ = Phase::kStart;
      return {Status::kDone, std::exchange(at_, 0)};
    }
    if (*status == Status::kMore && unread.size() >= limit_) return {beyond_limit(), 0};
    return {*status, 0};
  }
}

Status Framer::beyond_limit() const noexcept {
  if (phase_ == Phase::kMethod) return Status::kNotImplemented;  // no known method is that long
  if (phase_ == Phase::kTarget) return Status::kUriTooLong;
  return phase_ < Phase::kBody ? Status::kHeadTooLarge : Status::kTooLarge;
}

Step Framer::step(std::string_view in) {
  if (at_ == in.size()) return Status::kMore;
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
    case Phase::kChunkBlank:
      return chunk_blank(in);
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
  return Status::kBadRequest;
}

Step Framer::go(Phase next) noexcept {
  phase_ = next;
  mark_ = at_;
  return kNext;
}

Step Framer::expect(std::string_view in, char byte, Phase next) {
  if (in[at_] != byte) return Status::kBadRequest;
  ++at_;
  return go(next);
}

// Skips empty lines before a request (RFC 9112, 2.2): old clients end a body with one.
Step Framer::start(std::string_view in) {
  return in[at_] == '\r' ? expect(in, '\r', Phase::kStartLf) : go(Phase::kMethod);
}

Step Framer::method(std::string_view in) {
  at_ = run(in, at_, kToken);
  if (at_ == in.size()) return Status::kMore;
  if (at_ == mark_) return Status::kBadRequest;
  const std::string_view name = in.substr(mark_, at_ - mark_);
  if (name == "CONNECT") return Status::kNotImplemented;  // what follows a 200 to it would not be HTTP
  if (in[at_] != ' ') return Status::kBadRequest;
  is_head_ = name == "HEAD";
  name_end_ = at_++;
  phase_ = Phase::kTarget;  // mark_ stays where the method begins
  return kNext;
}

Step Framer::target(std::string_view in) {
  at_ = run(in, at_, kTarget);
  if (at_ == in.size()) return Status::kMore;
  const std::string_view target = in.substr(name_end_ + 1, at_ - name_end_ - 1);
  if (target.empty() || !is_target(in.substr(mark_, name_end_ - mark_), target)) return Status::kBadRequest;
  return expect(in, ' ', Phase::kVersion);
}

Step Framer::version(std::string_view in) {
  constexpr std::string_view kUsual = "HTTP/1.1\r\n";  // nearly always, and in one piece
  if (at_ == mark_ && in.substr(at_, kUsual.size()) == kUsual) {
    at_ += kUsual.size();
    return go(Phase::kField);
  }
  constexpr std::string_view kLine = "HTTP/1.x\r\n";
  for (; at_ < in.size(); ++at_) {
    const std::size_t i = at_ - mark_;
    if (i == kLine.size()) return go(Phase::kField);
    const bool is_digit = in[at_] >= '0' && in[at_] <= '9';
    if (kLine[i] == 'x' && is_digit) {
      head_.set_minor_version(in[at_] - '0');
    } else if (in[at_] != kLine[i]) {
      return kLine[i] == '1' && is_digit ? Status::kVersionNotSupported : Status::kBadRequest;
    }
  }
  return Status::kMore;
}

Step Framer::field(std::string_view in) {
  return in[at_] == '\r' ? expect(in, '\r', Phase::kHeadLf) : go(Phase::kName);
}

Step Framer::name(std::string_view in) {
  at_ = run(in, at_, kToken);
  if (at_ == in.size()) return Status::kMore;
  if (in[at_] != ':' || at_ == mark_) return Status::kBadRequest;
  name_end_ = at_++;
  phase_ = Phase::kValue;  // mark_ stays where the name begins
  return kNext;
}

Step Framer::value(std::string_view in) {
  at_ = run(in, at_, kValue);
  if (at_ == in.size()) return Status::kMore;
  if (in[at_] != '\r') return Status::kBadRequest;
  if (!in_trailer_) {  // trailers must not change anything (RFC 9110, 6.5.1)
    const std::string_view value = trim(in.substr(name_end_ + 1, at_ - name_end_ - 1));
    if (const Step refused = head_.field(in.substr(mark_, name_end_ - mark_), value)) return refused;
  }
  ++at_;
  return go(Phase::kValueLf);
}

Step Framer::end_of_head(std::string_view in) {
  if (in[at_] != '\n') return Status::kBadRequest;
  ++at_;
  if (in_trailer_) return Status::kDone;
  if (const Step refused = head_.end()) return refused;
  if (!head_.is_chunked() && head_.length() == 0) return Status::kDone;
  limit_ = kMaxRequest;
  left_ = head_.length();
  go(head_.is_chunked() ? Phase::kChunkSize : Phase::kBody);
  return head_.expects_continue() ? Step(Status::kContinue) : kNext;
}

Step Framer::body(std::string_view in) {
  const std::size_t taken = std::min(left_, in.size() - at_);
  at_ += taken;
  left_ -= taken;
  if (left_ > 0) return Status::kMore;
  return phase_ == Phase::kBody ? Status::kDone : go(Phase::kChunkCr);
}

Step Framer::chunk_size(std::string_view in) {
  for (; at_ < in.size(); ++at_) {
    const int digit = hex(in[at_]);
    if (digit < 0) break;
    left_ = left_ * 16 + static_cast<std::size_t>(digit);
    if (left_ > kMaxBody - joined_) return Status::kTooLarge;
    if (at_ - mark_ == kMaxChunkLine) return Status::kBadRequest;
  }
  if (at_ == in.size()) return Status::kMore;
  if (at_ == mark_) return Status::kBadRequest;
  if (in[at_] == '\r') return expect(in, '\r', Phase::kChunkSizeLf);
  phase_ = Phase::kChunkBlank;
  return kNext;
}

// Skips whitespace before a ';', which should not be there (RFC 9112, 7.1.1; RFC 9110, 5.6.3).
Step Framer::chunk_blank(std::string_view in) {
  const std::size_t line_limit = mark_ + kMaxChunkLine;
  at_ = run(in.substr(0, line_limit), at_, kBlank);
  if (at_ == line_limit) return Status::kBadRequest;
  if (at_ == in.size()) return Status::kMore;
  if (in[at_] != ';') return Status::kBadRequest;
  phase_ = Phase::kChunkExtension;
  return kNext;
}

Step Framer::chunk_extension(std::string_view in) {
  const std::size_t line_limit = mark_ + kMaxChunkLine;
  at_ = run(in.substr(0, line_limit), at_, kValue);
  if (at_ == line_limit) return Status::kBadRequest;
  return at_ == in.size() ? Status::kMore : expect(in, '\r', Phase::kChunkSizeLf);
}

Step Framer::end_of_chunk_size(std::string_view in) {
  if (in[at_] != '\n') return Status::kBadRequest;
  ++at_;
  joined_ += left_;
  if (left_ > 0) return go(Phase::kChunk);
  in_trailer_ = true;
  limit_ = std::min(at_ + kMaxHead, kMaxRequest);
  return go(Phase::kField);
}

}  // namespace http
