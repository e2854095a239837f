#pragma once

#include <cstddef>
#include <string_view>

#include "examples/http/status.hpp"

namespace http {

/// What the header fields say about the request itself: its host, the framing of its body, whether the connection
/// persists. The fields are passed one by one and must be well-formed. Thread-safety: one thread at a time.
class Head {
 public:
  static constexpr std::size_t kMaxBody = 8 * 1024 * 1024;  // not counting the chunk framing

  void set_minor_version(int minor) noexcept { minor_ = minor; }
  Step field(std::string_view name, std::string_view value);
  /// At the end of the head: whether the fields are valid together.
  Step end() const;

  bool is_http_1_0() const noexcept { return minor_ == 0; }
  bool is_chunked() const noexcept { return is_chunked_; }
  std::size_t length() const noexcept { return length_; }  ///< Of the body, as announced; 0 if it is chunked.
  bool keeps_alive() const noexcept { return !close_ && (keep_alive_ || minor_ > 0); }
  bool expects_continue() const noexcept { return expects_continue_ && minor_ > 0; }

 private:
  Step host(std::string_view value);
  Step content_length(std::string_view value);
  Step transfer_encoding(std::string_view value);
  Step connection(std::string_view value);
  Step expect(std::string_view value);

  std::size_t length_ = 0;
  int minor_ = 1;
  bool has_host_ = false;
  bool has_length_ = false;
  bool has_coding_ = false;  // any transfer coding
  bool is_chunked_ = false;
  bool is_coded_further_ = false;  // with a coding other than chunked
  bool close_ = false;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

}  // namespace http
