#pragma once

#include <array>
#include <memory>

#include "evio/output.hpp"
#include "internal/base/sanitizer.hpp"
#include "internal/buffer/buffer.hpp"
#include "internal/datagram/datagram.hpp"
#include "internal/datagram/datagram_port.hpp"

namespace evio::internal {

/// How far a batch of answers got.
enum class Sent { kAll, kBlocked };

/// The input and output of one datagram socket: takes in a batch of datagrams with one recvmmsg(2), and sends the
/// answers, in the order of what they answer, with one sendmmsg(2). Thread-safety: its loop's thread.
class DatagramSocket {
 public:
  static constexpr std::size_t kBatch = 32;

  DatagramSocket(FileDescriptor fd, int addr_index, Addr bound, RefPtr<NoteQueue> queue);
  ~DatagramSocket() { close(); }
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  int fd() const noexcept { return port_->fd(); }
  /// Closes the socket: no thread's datagram leaves any more. The poller must not know it then.
  void close() noexcept {
    port_->close();
    closed_ = true;
  }
  bool closed() const noexcept { return closed_; }

  /// Takes in a batch; the one before must be answered. Returns how many datagrams; 0 when there is none, which leaves
  /// errno. Throws std::bad_alloc.
  /// `first_id` gives their numbers.
  template <class FirstId>
  std::size_t receive(FirstId first_id) {
    const std::size_t count = receive_raw();
    if (count != 0) name(count, first_id(count));
    return count;
  }
  // The i-th of the batch. The callback may assign to its Conn.
  Conn& conn(std::size_t i) noexcept { return slots_[i].handle; }
  const Bytes& input(std::size_t i) noexcept { return slots_[i].input; }
  Output& output(std::size_t i) noexcept { return slots_[i].output; }

  /// The callback for the i-th has returned: its output is an answer now.
  void mark_done(std::size_t i) noexcept {
    Slot& slot = slots_[i];
    if (slot.output.size() > kLargest) [[unlikely]]
      lose(slot);
    drop_input(slot);
    done_ = i + 1;
  }

  /// True when there is an answer to be sent.
  bool has_answers() const noexcept;
  /// Forgets the answers there are.
  void drop_answers() noexcept;
  /// Sends the answers there are, in order. kBlocked: the rest later.
  Sent answer() noexcept;
  bool blocked() const noexcept { return blocked_; }
  /// How many answers could not be sent so far, and why the last one could not.
  std::uint64_t failed() const noexcept { return failed_; }
  std::error_code last_failure() const noexcept { return last_failure_; }
  const Addr& bound() const noexcept { return bound_; }
  /// The batch is finished: input that nobody kept is read into again.
  void recycle() noexcept;

  /// Sends one datagram; in a callback, after the answers that the batch has so far.
  bool send(const msghdr& message) noexcept;

 private:
  // More than the largest datagram there is: 65,507 bytes over IPv4, 65,527 over IPv6.
  static constexpr std::size_t kLargest = 64 * 1024;

  // As many pieces as an Output of that size can have: shared ones, and copied bytes in between.
  static constexpr std::size_t kParts = 2 * (kLargest / kShareInOutput) + 1;

  struct Slot {
    Bytes input;  // owns the buffer
    Buffer* block = nullptr;
    Output output;
    RefPtr<Datagram> sender;
    Conn handle;  // of the sender, for the callback
    iovec room{};
    alignas(cmsghdr) std::array<char, 128> control;
    std::array<iovec, kParts> parts;
  };

  std::size_t receive_raw();
  void prepare(std::size_t i);
  void name(std::size_t count, std::uint64_t first_id);
  [[gnu::noinline]] void renew_sender(std::size_t i);
  [[gnu::noinline]] static void reallocate_input(Slot& slot);
  static bool may_reuse_input(const Slot& slot) noexcept;
  static bool may_reuse_sender(const Slot& slot) noexcept;
  static void drop_input([[maybe_unused]] Slot& slot) noexcept {
    if constexpr (kAddressSanitizer) {
      slot.block = nullptr;
      slot.input = {};
    }
  }
  void lose(Slot& slot) noexcept;
  static void address_answer(Slot& slot, msghdr& header) noexcept;

  RefPtr<DatagramPort> port_;
  int addr_index_;
  Addr bound_;
  RefPtr<NoteQueue> queue_;
  std::unique_ptr<std::array<Slot, kBatch>> batch_ = std::make_unique<std::array<Slot, kBatch>>();
  std::array<Slot, kBatch>& slots_ = *batch_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<mmsghdr, kBatch> answers_{};
  std::size_t used_ = kBatch;  // slots, from the front, that must be prepared before they are received into
  std::size_t count_ = 0;      // datagrams in hand
  std::size_t done_ = 0;       // of them, from the front, had their callback
  std::size_t answered_ = 0;   // of those, from the front, are answered
  bool blocked_ = false;
  std::uint64_t failed_ = 0;
  std::error_code last_failure_;
  bool closed_ = false;
};

}  // namespace evio::internal
