#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace http {

/// Finds where an HTTP/1.x request ends (RFC 9112), however it is cut, and refuses what is none.
///
/// Every byte is looked at once, as soon as it is there, and the verdict depends on the bytes alone: a request that
/// comes byte by byte is judged at the same byte as one that comes whole. Nothing is kept but a few numbers. Where the
/// RFC leaves a choice the strict one is taken, since two readings of one request are how requests are smuggled past
/// a proxy; only a missing Host is let pass, as evio does.
/// Thread-safety: one thread at a time.
class Framer {
 public:
  static constexpr std::size_t kMaxHead = 16 * 1024;        // a request line with its fields; trailers as much again
  static constexpr std::size_t kMaxBody = 8 * 1024 * 1024;  // without what chunking adds
  static constexpr std::size_t kMaxRequest = 2 * kMaxBody;  // with it
  static constexpr std::size_t kMaxChunkLine = 1024;        // a chunk's length and extensions

  enum class Status : std::uint8_t {
    kMore,          ///< Not whole yet.
    kContinue,      ///< The head is, and its sender waits to be told to go on (100). Given once: look again.
    kDone,          ///< Whole.
    kBadRequest,    ///< Not HTTP (400).
    kTooLarge,      ///< A body over a limit (413).
    kHeadTooLarge,  ///< A head over its limit (431).
  };

  struct Result {
    Status status;
    std::size_t size;  // of the whole request when done, 0 otherwise
  };

  /// `unread` begins with the request and only grows from call to call until that is done; the next call is about
  /// the next one.
  Result find_end(std::string_view unread);

  // What the last request that was done asks of its answer.
  bool is_head() const noexcept { return is_head_; }  ///< No body (RFC 9110, 9.3.2).
  bool is_http_1_0() const noexcept { return minor_ == 0; }
  bool keeps_alive() const noexcept { return !close_ && (keep_alive_ || minor_ > 0); }

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
    kChunkExtension,
    kChunkSizeLf,
    kChunk,
    kChunkCr,
    kChunkLf,
  };
  // What a step comes to: on to the next one, or an end of the search.
  enum class Step : std::uint8_t { kNext, kMore, kContinue, kDone, kBad, kTooLarge };

  Step step(std::string_view in);
  Step start(std::string_view in);
  Step method(std::string_view in);
  Step target(std::string_view in);
  Step version(std::string_view in);
  Step field(std::string_view in);
  Step name(std::string_view in);
  Step value(std::string_view in);
  Step heed(std::string_view name, std::string_view value);
  Step heed_length(std::string_view value);
  void heed_connection(std::string_view value);
  Step end_of_head(std::string_view in);
  Step body(std::string_view in);
  Step chunk_size(std::string_view in);
  Step chunk_extension(std::string_view in);
  Step end_of_chunk_size(std::string_view in);
  Step expect(std::string_view in, char byte, Phase next);
  Step go(Phase next) noexcept;

  std::size_t at_ = 0;            // all before it was looked at
  std::size_t mark_ = 0;          // where the element at hand begins
  std::size_t name_end_ = 0;      // of the field at hand
  std::size_t limit_ = kMaxHead;  // the phases at hand end before it
  std::size_t length_ = 0;        // of the body, as far as announced
  std::size_t left_ = 0;          // of the body or the chunk
  Phase phase_ = Phase::kStart;
  std::uint8_t minor_ = 1;
  bool is_head_ = false;
  bool has_length_ = false;
  bool is_chunked_ = false;
  bool in_trailer_ = false;
  bool close_ = false;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

}  // namespace http
