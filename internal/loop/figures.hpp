#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "evio/stats.hpp"
#include "internal/base/counter.hpp"

namespace evio::internal {

/// What one loop has done: the source of evio::Stats. On cache lines of its own, which its loop alone writes, but for
/// the few figures that other threads count.
/// Thread-safety: each figure its loop's thread, or any thread where it says so; add_to() any thread.
struct alignas(64) Figures {
  using Count = Counter<std::uint64_t>;

  // Of every message, together on one line.
  Count reads;
  Count writes;
  Count bytes_read;
  Count bytes_written;
  Count turns;
  Count notes;
  Count wake_ups;
  Count timers;

  Count accepted;
  Count dialed;
  Count unreachable;
  Count closed;
  Count aborted;
  Count timed_out;
  Count datagrams_read;
  Counter<std::size_t> pending;
  Counter<std::size_t> unopened;  // accepted ones in a handshake
  Count handshakes;
  Count handshakes_resumed;
  Count handshakes_failed;

  // Any thread counts these. relaxed: only the number counts.
  alignas(64) std::atomic<std::uint64_t> refused_sends{0};
  std::atomic<std::uint64_t> rejected{0};  // the thread that frees a slot accepts: see ConnectionLimit
  std::atomic<std::uint64_t> accept_errors{0};
  std::atomic<std::uint64_t> datagrams_written{0};
  std::atomic<std::uint64_t> datagrams_failed{0};

  void count_read(std::size_t bytes) noexcept {
    reads.add(1);
    bytes_read.add(bytes);
  }
  void count_write(std::size_t bytes) noexcept {
    writes.add(1);
    bytes_written.add(bytes);
  }
  void count_datagrams(std::uint64_t written, std::uint64_t failed) noexcept {
    if (written != 0) datagrams_written.fetch_add(written, std::memory_order_relaxed);
    if (failed != 0) datagrams_failed.fetch_add(failed, std::memory_order_relaxed);
  }
  void add_to(Stats& stats) const noexcept;
};

inline void Figures::add_to(Stats& stats) const noexcept {
  // First what has ended, so that no more have ended than have begun.
  const std::uint64_t ended = closed.value();
  const std::uint64_t taken = accepted.value();
  const std::uint64_t reached = dialed.value();
  stats.closed += ended;
  stats.accepted += taken;
  stats.dialed += reached;
  stats.connections += static_cast<std::size_t>(taken + reached - ended) + unopened.value();
  stats.unreachable += unreachable.value();
  stats.aborted += aborted.value();
  stats.timed_out += timed_out.value();
  stats.rejected += rejected.load(std::memory_order_relaxed);
  stats.refused_sends += refused_sends.load(std::memory_order_relaxed);
  stats.accept_errors += accept_errors.load(std::memory_order_relaxed);
  stats.reads += reads.value();
  stats.writes += writes.value();
  stats.bytes_read += bytes_read.value();
  stats.bytes_written += bytes_written.value();
  stats.datagrams_read += datagrams_read.value();
  stats.datagrams_written += datagrams_written.load(std::memory_order_relaxed);
  stats.datagrams_failed += datagrams_failed.load(std::memory_order_relaxed);
  stats.turns += turns.value();
  stats.wake_ups += wake_ups.value();
  stats.notes += notes.value();
  stats.timers += timers.value();
  stats.handshakes += handshakes.value();
  stats.handshakes_resumed += handshakes_resumed.value();
  stats.handshakes_failed += handshakes_failed.value();
  stats.pending += pending.value();
}

}  // namespace evio::internal
