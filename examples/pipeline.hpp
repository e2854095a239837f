#pragma once

#include <cstddef>
#include <evio/evio.hpp>
#include <string_view>

namespace examples {

/// The requests of one connection: answered as they come, but no further than the client reads the answers. Once
/// kMostOutput bytes of answers have been made in one call, or some wait for the client, no more requests are answered
/// and no more input is read: a client that sends requests and reads nothing costs one read and kMostOutput.
/// Thread-safety: belongs to the connection's loop.
class Pipeline {
 public:
  static constexpr std::size_t kMostOutput = 64 * 1024;

  /// Answers what has come before and `in`. Answer is a `std::size_t(std::string_view unread, evio::Action& action)`
  /// that answers the request at the beginning of `unread` and returns its length, or 0 if it is incomplete. Once it
  /// has set the action, what follows is ignored.
  template <class Answer>
  evio::Action feed(const evio::Conn& conn, const evio::Bytes& in, const evio::Output& out, Answer&& answer) {
    auto action = evio::Action::None;
    bool full = conn.pending() > 0;
    input_.feed(in, [&](std::string_view unread) -> std::size_t {
      if (action != evio::Action::None) return unread.size();
      full = full || out.size() >= kMostOutput;
      return full ? 0 : answer(unread, action);
    });
    if (full && !is_full_) conn.pause();
    if (!full && is_full_) conn.resume();
    is_full_ = full;
    return action;
  }

  /// Whether the rest must wait. Then feed it nothing, to go on, in a function that is posted, and in `drained`: the
  /// first comes when the kernel has been given the output, the second when it had to wait and is gone.
  bool is_full() const noexcept { return is_full_; }

 private:
  evio::InputStream input_;
  bool is_full_ = false;
};

}  // namespace examples
