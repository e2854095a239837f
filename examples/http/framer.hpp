#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "examples/http/head.hpp"
#include "examples/http/status.hpp"

namespace http {

/// Finds where an HTTP/1.x request ends (RFC 9112), however it is cut, and refuses what is none.
///
/// Every byte is looked at once, as soon as it is there, and the verdict depends on the bytes alone: a request that
/// comes byte by byte is judged at the same byte as one that comes whole. Nothing is kept but a few numbers. Where the
/// RFC leaves a choice the strict one is taken, since two readings of one request are how requests are smuggled past
/// a proxy. RFC9112.md goes through what it demands.
/// Thread-safety: one thread at a time.
class Framer {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;  // a request line with its fields; trailers as much again
  static constexpr std::size_t kMaxBody = Head::kMaxBody;
  static constexpr std::size_t kMaxRequest = 2 * kMaxBody;  // with it
  static constexpr std::size_t kMaxChunkLine = 1024;        // a chunk's length and extensions

  struct Result {
    Status status;
    std::size_t size;  // of the whole request when done, 0 otherwise
  };

  /// `unread` begins with the request and only grows from call to call until that is done; the next call is about
  /// the next one.
  Result find_end(std::string_view unread);

  // What the last request that was done asks of its answer; the first one also of one that was refused.
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

  std::size_t at_ = 0;            // all before it was looked at
  std::size_t mark_ = 0;          // where the element at hand begins
  std::size_t name_end_ = 0;      // of the method or the field at hand
  std::size_t limit_ = kMaxHead;  // the phases at hand end before it
  std::size_t joined_ = 0;        // the size of the chunks so far
  std::size_t left_ = 0;          // of the body or the chunk
  Head head_;
  Phase phase_ = Phase::kStart;
  bool is_head_ = false;
  bool in_trailer_ = false;
};

}  // namespace http
