#include "examples/http/head.hpp"

#include "examples/http/text.hpp"
#include "examples/http/uri.hpp"

namespace http {

Step Head::field(std::string_view name, std::string_view value) {
  const auto is = [name](std::string_view other) { return same_ignoring_case(name, other); };
  switch (name.size()) {  // these all differ in length
    case 4:
      return is("host") ? host(value) : kNext;
    case 6:
      return is("expect") ? expect(value) : kNext;
    case 10:
      return is("connection") ? connection(value) : kNext;
    case 14:
      return is("content-length") ? content_length(value) : kNext;
    case 17:
      return is("transfer-encoding") ? transfer_encoding(value) : kNext;
    default:
      return kNext;
  }
}

Step Head::end() const {
  if (!has_host_ && minor_ > 0) return Status::kBadRequest;
  if (!has_coding_) return kNext;
  // Two lengths, a transfer coding in HTTP/1.0, which has none, or a length that cannot be determined: these are used
  // to smuggle requests past a proxy (RFC 9112, 6.1 and 6.3).
  if (has_length_ || minor_ == 0 || !is_chunked_) return Status::kBadRequest;
  return is_coded_further_ ? Step(Status::kNotImplemented) : kNext;
}

Step Head::host(std::string_view value) {
  if (has_host_ || !is_authority(value)) return Status::kBadRequest;
  has_host_ = true;
  return kNext;
}

Step Head::content_length(std::string_view value) {
  if (value.empty()) return Status::kBadRequest;
  std::size_t length = 0;
  bool too_large = false;
  for (const char c : value) {
    if (c < '0' || c > '9') return Status::kBadRequest;
    length = length * 10 + static_cast<std::size_t>(c - '0');
    too_large = too_large || length > kMaxBody;
    if (too_large) length = 0;  // so that it cannot overflow, however many digits follow
  }
  if (too_large) return Status::kTooLarge;
  if (has_length_ && length != length_) return Status::kBadRequest;
  has_length_ = true;
  length_ = length;
  return kNext;
}

// Codings in the order they were applied, on one line or several. Chunked must come last, and only once.
Step Head::transfer_encoding(std::string_view value) {
  if (value.empty()) return Status::kBadRequest;
  has_coding_ = true;
  bool follows_chunked = false;
  for_each_element(value, [&](std::string_view coding) {
    follows_chunked = follows_chunked || is_chunked_;
    const bool chunked = same_ignoring_case(coding, "chunked");
    is_chunked_ = is_chunked_ || chunked;
    is_coded_further_ = is_coded_further_ || !chunked;
  });
  return follows_chunked ? Step(Status::kBadRequest) : kNext;
}

Step Head::connection(std::string_view value) {
  for_each_element(value, [&](std::string_view option) {
    close_ = close_ || same_ignoring_case(option, "close");
    keep_alive_ = keep_alive_ || same_ignoring_case(option, "keep-alive");
  });
  return kNext;
}

Step Head::expect(std::string_view value) {
  for_each_element(value, [&](std::string_view expectation) {
    expects_continue_ = expects_continue_ || same_ignoring_case(expectation, "100-continue");
  });
  return kNext;
}

}  // namespace http
