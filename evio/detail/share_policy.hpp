#pragma once

#include <cstddef>

/// When bytes are shared and when they are copied: one policy for the whole library.
///
/// Sharing costs two atomic operations and a separate piece in each write, and it keeps the whole storage alive, of
/// which the bytes may be a small part. Copying costs the copy. So
///
/// 1. few bytes are copied. How many are few depends on where the copy goes: see the three thresholds below;
/// 2. bytes that are kept after the call in which they arrived are shared only if is_worth_sharing(), that is if they
///    are no small part of their storage. Otherwise they are copied to a storage of their own, and the large one is
///    freed.
///
/// By the second rule bytes that wait (for the rest of a message, for a slow peer) never keep alive more than kMostKept
/// times their size, and a little, no matter which part of the input they are. The rule is applied when bytes begin to
/// wait, and again whenever some of them have been used. The cost stays linear. A storage made for waiting bytes starts
/// at least half full and is copied only when less than a quarter of it is left, so at least as many bytes have been
/// consumed as are copied. A byte is copied out of any other storage once.
namespace evio::internal {

/// Threshold for a callback's output, which is copied into its loop's warm buffer: from this size on, a separate piece
/// is cheaper.
inline constexpr std::size_t kShareInOutput = 16 * 1024;

/// Threshold for the queue of a slow peer, where each copy needs memory of its own. Sharing smaller pieces would make
/// the writes smaller: one takes 64 pieces.
inline constexpr std::size_t kShareInQueue = 8 * 1024;

/// Threshold for what another thread sends, where each copy needs memory of its own; the same bytes may be sent to many
/// connections.
inline constexpr std::size_t kShareInRequest = 1024;

/// Kept storage is at most this many times the size of the bytes needed from it, ...
inline constexpr std::size_t kMostKept = 4;
/// ... or this small: less is not worth an allocation of its own.
inline constexpr std::size_t kLittle = 256;

/// Whether `size` bytes may keep a storage of `capacity` bytes alive.
constexpr bool is_worth_sharing(std::size_t size, std::size_t capacity) noexcept {
  return capacity <= kLittle || size >= capacity / kMostKept;
}

}  // namespace evio::internal
