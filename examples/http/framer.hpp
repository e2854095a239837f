#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "examples/http/head.hpp"
#include "examples/http/status.hpp"

namespace http {

/// Finds the end of an HTTP/1.x request (RFC 9112), no matter how it is split, and refuses malformed ones.
///
/// Every byte is examined once, as soon as it has arrived, and the result depends only on the bytes: a request that
/// arrives byte by byte is refused at the same byte as one that arrives whole. Only a few numbers are kept. Where the
/// RFC leaves a choice, the strict one is taken: two readings of one request are how requests are smuggled past a
/// proxy. RFC9112.md goes through its requirements.
/// Thread-safety: one thread at a time.
class Framer {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;  // a request line with its fields; the same again for trailers
  static constexpr std::size_t kMaxBody = Head::kMaxBody;
  static constexpr std::size_t kMaxRequest = 2 * kMaxBody;  // all of it
  static constexpr std::size_t kMaxChunkLine = 1024;        // a chunk's length and extensions

  struct Result {
    Status status;
    std::size_t size;  // of the whole request when done, 0 otherwise
  };

  /// `unread` must begin with the request, and may only grow from call to call until the request is done. The next call
  /// then begins the next request.
  Result find_end(std::string_view unread);

  /// How much of a request that is incomplete has come so far; 0 between two requests.
  std::size_t examined() const noexcept { return at_; }

  // How to answer the last complete request. is_head() is also valid for a refused one.
  bool is_head() const noexcept { return is_head_; }  ///< No body (RFC 9110, 9.3.2).
  bool is_http_1_0() const noexcept { return head_.is_http_1_0(); }
  bool keeps_alive() const noexcept { return head_.keeps_alive(); }

 private:
  enum class Phase : std::uint8_t {
    kStart,
    kStartLf,
    kMethod,
    kTarget,
    kVersion,
    kField,
    kName,
    kValue,
    kValueLf,
    kHeadLf,
    kBody,
    kChunkSize,
    kChunkBlank,
    kChunkExtension,
    kChunkSizeLf,
    kChunk,
    kChunkCr,
    kChunkLf,
  };

  Step step(std::string_view in);
  Step start(std::string_view in);
  Step method(std::string_view in);
  Step target(std::string_view in);
  Step version(std::string_view in);
  Step field(std::string_view in);
  Step name(std::string_view in);
  Step value(std::string_view in);
  Step end_of_head(std::string_view in);
  Step body(std::string_view in);
  Step chunk_size(std::string_view in);
  Step chunk_blank(std::string_view in);
  Step chunk_extension(std::string_view in);
  Step end_of_chunk_size(std::string_view in);
  Step expect(std::string_view in, char byte, Phase next);
  Step go(Phase next) noexcept;
  Status beyond_limit() const noexcept;

  std::size_t at_ = 0;            // everything before it has been examined
  std::size_t mark_ = 0;          // where the current element begins
  std::size_t name_end_ = 0;      // of the current method or field name
  std::size_t limit_ = kMaxHead;  // the current phase must end before it
  std::size_t joined_ = 0;        // the size of the chunks so far
  std::size_t left_ = 0;          // to come of the body or the chunk
  Head head_;
  Phase phase_ = Phase::kStart;
  bool is_head_ = false;
  bool in_trailer_ = false;
};

}  // namespace http
