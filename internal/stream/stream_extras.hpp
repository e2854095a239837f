#pragma once

#include <cstddef>
#include <deque>
#include <memory>

#include "evio/error.hpp"
#include "internal/base/recycled.hpp"
#include "internal/buffer/output_queue.hpp"
#include "internal/loop/timed_task.hpp"
#include "internal/stream/requests.hpp"
#include "internal/stream/tls_session.hpp"

namespace evio::internal {

/// What a connection waits for before it is opened: it is being dialed, or shakes hands with its peer.
/// Thread-safety: its loop's thread.
class Opening {
 public:
  /// Somebody has closed or aborted the connection.
  virtual void on_cancel() noexcept = 0;
  /// Its loop has the connection.
  virtual void on_begin() noexcept {}
  /// Its socket is ready.
  virtual void on_ready() noexcept {}
  /// The connection is opened, or over.
  virtual void forget() noexcept {}

 protected:
  ~Opening() = default;
};

struct ForgetOpening {
  void operator()(Opening* opening) const noexcept { opening->forget(); }
};
using OpeningPtr = std::unique_ptr<Opening, ForgetOpening>;

/// What a datagram socket's connection has beside. Thread-safety: its loop's thread.
struct DatagramExtras {
  std::deque<std::size_t> sizes;  // of the datagrams in the output, oldest first
  int lost = 0;                   // why the last one was that was lost; 0: it was told of
  bool failed = false;            // the socket has: nothing leaves any more
};

/// What most connections never need. Made when a connection first does. Thread-safety: its loop's thread.
struct StreamExtras : Recycled<StreamExtras> {
  OpeningPtr opening;                         // until it is opened
  std::unique_ptr<TlsSession> tls;            // if it is encrypted
  std::unique_ptr<OutputQueue> output;        // that its socket has not taken yet
  std::unique_ptr<DatagramExtras> datagrams;  // if it is a DatagramStream
  std::unique_ptr<Error> failure;             // what `closed` will get
  RequestList behind;                         // requests behind those in requested_; the first of them is a function
  TimedTasks timed;
  std::size_t high_water = 0;
  std::size_t low_water = 0;
  bool tried = false;  // the socket has just refused what is pending
};

}  // namespace evio::internal
