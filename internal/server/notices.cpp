#include "internal/server/notices.hpp"

#include <new>
#include <string>
#include <utility>

#include "internal/loop/server_control.hpp"

namespace evio::internal {

void Notices::tell(int loop, Notice what, std::error_code code, std::string_view message) noexcept {
  if (!events_.notice) return;
  Kind& kind = loops_[static_cast<std::size_t>(loop)][static_cast<std::size_t>(what)];
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now < kind.next) {
      ++kind.left_out;
      return;
    }
    kind.next = now + std::chrono::seconds(1);
    left_out = std::exchange(kind.left_out, 0);
  }
  Error err;
  try {
    std::string text(message);
    if (left_out != 0) text += " (and " + std::to_string(left_out) + " more since the last notice)";
    err = Error(code, std::move(text));
  } catch (const std::bad_alloc&) {  // no memory for the words: it is left out, and that is all
    const std::lock_guard lock(mutex_);
    kind.left_out += left_out + 1;
    return;
  }
  try {
    events_.notice(what, err);
  } catch (...) {
    server_.fail();
  }
}

}  // namespace evio::internal
