#pragma once

#include <cstddef>

/// When bytes are shared and when they are copied: one policy for the whole library.
///
/// Sharing costs two atomic operations and a piece of its own in each write, and keeps the whole storage alive, of
/// which the bytes may be a small part. Copying costs the copy. So
///
/// 1. little is copied. How little is decided by where the copy goes: see the three numbers below;
/// 2. what is kept past the call in which it came is shared only when is_worth_sharing(): when it is no small part of
///    its storage. Otherwise it is copied into a storage of its own, and the large one goes.
///
/// By the second rule what waits (for the rest of a message, for a slow peer) never keeps alive more than kMostKept
/// times its size and a little, however it was cut out of what came. It holds when bytes begin to wait, and again
/// whenever some of them are gone. The cost stays linear. A holder's own storage starts at least half full and is
/// copied only when less than a quarter is left, so at least as many bytes were consumed as are copied. A byte is
/// copied out of another holder's storage once.
namespace evio::internal {

/// In the output of a callback, which copies into the warm buffer of its loop. From here on a piece of its own is
/// cheaper.
inline constexpr std::size_t kShareInOutput = 16 * 1024;

/// In what waits for a slow peer, where a copy needs a place of its own. Smaller pieces would make the writes smaller:
/// one takes 64 of them.
inline constexpr std::size_t kShareInQueue = 8 * 1024;

/// In what another thread sends, which is copied into a place of its own: many connections may be sent the same.
inline constexpr std::size_t kShareInRequest = 1024;

/// What is kept is at most so many times what is needed, ...
inline constexpr std::size_t kMostKept = 4;
/// ... or this: less is not worth an allocation of its own.
inline constexpr std::size_t kLittle = 256;

/// Whether `size` bytes may keep a storage of `capacity` bytes alive.
constexpr bool is_worth_sharing(std::size_t size, std::size_t capacity) noexcept {
  return capacity <= kLittle || size >= capacity / kMostKept;
}

}  // namespace evio::internal
