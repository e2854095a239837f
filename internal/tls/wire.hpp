#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// Where a record that was encrypted ends, and how many bytes of the user's are in it.
struct RecordEnd {
  std::size_t at;
  std::size_t plain;
};

/// The socket as OpenSSL sees it while a call of a TlsSession runs: what it reads lies in memory, and what it writes is
/// collected there. All sessions of a thread use the same buffers, one after the other, so that a connection at rest
/// has none. They are made when a thread first needs them and freed when it ends.
/// Thread-safety: a thread's own.
class Wire {
 public:
  static constexpr std::size_t kInput = 64 * 1024;
  /// How much of the user's is encrypted before it is sent.
  static constexpr std::size_t kBatch = 128 * 1024;
  /// The most that a record takes (RFC 8446, 5.1).
  static constexpr std::size_t kRecord = 16 * 1024;

  /// Empty. nullptr: there is no memory.
  static Wire* begin() noexcept;
  /// The end of a session that reads from this and writes to it. Throws std::bad_alloc.
  static BIO* new_bio();

  /// Reads from the socket into `input`, once, as read(2) does.
  ssize_t receive(int fd, std::size_t at_most) noexcept;
  /// A record ends here, with so many of the user's bytes in it. False: there is no memory.
  bool end_record(std::size_t of_user) noexcept;
  /// Those that a text of less than kRecord bytes is put together in.
  char* scratch() noexcept { return buffers_.get() + kInput; }
  void clear() noexcept;

  std::string_view input;    // from the socket, not yet read by OpenSSL
  std::vector<char> output;  // records for the socket
  std::vector<RecordEnd> records;
  std::size_t plain = 0;  // in `records`, altogether

 private:
  Wire();

  std::unique_ptr<char[]> buffers_;  // for input, and for scratch
};

}  // namespace evio::internal
