#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace evio::internal {

/// What session tickets are encrypted and authenticated with (RFC 5077, 4). Thread-safety: a value.
struct TicketKey {
  using Clock = std::chrono::steady_clock;
  using Name = std::span<const unsigned char, 16>;

  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> mac;
  Clock::time_point made;
  bool newest = true;  // false: a client whose ticket it has encrypted should get another

  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // leaves nothing of it in memory
};

/// The keys of one context's tickets. A key is replaced after kRenewal: whoever gets hold of a process's memory cannot
/// decrypt what was said long before. Thread-safety: any thread.
class TicketKeyRing {
 public:
  using Clock = TicketKey::Clock;
  /// For so long a session can be resumed; a week would be the most (RFC 8446, 4.6.1).
  static constexpr std::chrono::hours kLifetime{2};
  static constexpr std::chrono::hours kRenewal{12};

  explicit TicketKeyRing(Clock::time_point now) : last_use_(now) { keys_.reserve(4); }  // they never move

  /// The key for a new ticket. Nothing if there are no random numbers for one.
  std::optional<TicketKey> newest(Clock::time_point now) noexcept;
  std::optional<TicketKey> find(TicketKey::Name name, Clock::time_point now) const noexcept;

  /// No ticket will be made any more: the context is gone.
  void retire() noexcept;
  /// Nor will any be accepted.
  bool is_over(Clock::time_point now) const noexcept;

 private:
  mutable std::mutex mutex_;
  std::vector<TicketKey> keys_;  // the newest one last
  Clock::time_point last_use_;   // of the newest one, for a ticket
  bool retired_ = false;
};

/// The keys of one context and those of the contexts that it has replaced. Thread-safety: any thread.
class TicketKeys {
 public:
  using Clock = TicketKey::Clock;
  /// Who has signed the certificates that clients are verified by: digests, in order. Empty: no client is asked for
  /// one.
  using Authorities = std::vector<std::string>;

  TicketKeys(Authorities authorities, const TicketKeys* previous, Clock::time_point now);
  ~TicketKeys() { own_.ring->retire(); }
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  std::optional<TicketKey> newest(Clock::time_point now) const noexcept { return own_.ring->newest(now); }
  /// The key of a ticket that names it: one of this context's own, or of an earlier one that has verified its clients
  /// as this one demands.
  std::optional<TicketKey> find(TicketKey::Name name, Clock::time_point now) const noexcept;
  /// How many earlier contexts are looked at.
  std::size_t earlier() const noexcept { return earlier_.size(); }

 private:
  struct Context {
    std::shared_ptr<TicketKeyRing> ring;
    std::shared_ptr<const Authorities> authorities;
  };

  bool accepts(const Context& earlier) const noexcept;

  Context own_;
  std::vector<Context> earlier_;  // the latest first
};

}  // namespace evio::internal
