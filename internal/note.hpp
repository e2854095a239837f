#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "evio/bytes.hpp"
#include "evio/counted.hpp"
#include "internal/bytes_access.hpp"

namespace evio::internal {

/// A word from one thread to a loop: what is to be done, with which peer, and what to send.
///
/// A plain run of bytes, which the queue moves as such; it has one hold of the peer, and one of the storage of what is
/// to be sent. Whoever takes a note takes these over. Short text travels inside, without an allocation on either side.
/// Thread-safety: a plain value.
struct Note {
  enum class Kind : std::uint8_t { kWake, kSend, kSendText, kFlush, kClose, kAdopt };
  static constexpr std::size_t kLongestText = 48;

  Kind kind;
  std::uint8_t text_size;  // kSendText
  Counted* peer;
  struct Held {
    const char* data;
    std::size_t size;
    Counted* storage;
  };
  union {
    char text[kLongestText];  // kSendText
    Held bytes;               // kSend
  };

  static Note about(Kind kind, Counted& peer) noexcept {
    Note note;
    note.kind = kind;
    note.peer = &peer;
    peer.retain();
    return note;
  }
  /// Takes the peer's hold over.
  static Note adopt(Counted* peer) noexcept {
    Note note;
    note.kind = Kind::kAdopt;
    note.peer = peer;
    return note;
  }
  static Note send(Counted& peer, Bytes bytes) noexcept {
    Note note = about(Kind::kSend, peer);
    note.bytes.data = bytes.data();
    note.bytes.size = bytes.size();
    note.bytes.storage = BytesAccess::release(bytes);
    return note;
  }
  static Note send_text(Counted& peer, std::string_view text) noexcept {
    Note note = about(Kind::kSendText, peer);
    note.text_size = static_cast<std::uint8_t>(text.size());
    std::memcpy(note.text, text.data(), text.size());
    return note;
  }

  bool is_send() const noexcept { return kind == Kind::kSend || kind == Kind::kSendText; }
  /// Takes the bytes out of a kSend.
  Bytes take_bytes() noexcept { return BytesAccess::make(bytes.data, bytes.size, Ref<Counted>(bytes.storage)); }
  /// Lets go of everything in it.
  void discard() noexcept {
    if (kind == Kind::kSend) take_bytes();
    peer->release();
  }
};

static_assert(sizeof(Note) == 64 && std::is_trivially_copyable_v<Note>);

}  // namespace evio::internal
