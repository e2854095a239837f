#include "reader.hpp"

#include <chrono>

namespace notes {

// Looks now and then: a reader that sleeps until something comes is woken, at the cost of the loop and of the producers
// whose processor it is, for each of a loop's writes, which measures the scheduler.
void Reader::run(std::size_t first, std::size_t step) {
  constexpr std::chrono::microseconds kPause{200};
  constexpr int kStalled = 50'000;
  for (int pauses = 0; left_ > 0;) {
    bool some = false;
    for (std::size_t i = first; i < clients_.size(); i += step) some = read(i) || some;
    pauses = some ? 0 : pauses + 1;
    if (pauses > kStalled) load::fail("what was sent does not arrive");
    if (!some) std::this_thread::sleep_for(kPause);
  }
}

// False when there was nothing.
bool Reader::read(std::size_t i) {
  constexpr std::size_t kAtOnce = 64 * 1024;
  Stream& stream = streams_[i];
  const std::size_t before = stream.unread.size();
  stream.unread.resize(before + kAtOnce);
  const ssize_t size = recv(clients_[i].get(), stream.unread.data() + before, kAtOnce, MSG_DONTWAIT);
  if (size == 0 || (size < 0 && errno != EAGAIN)) load::fail("recv");
  const std::size_t more = size < 0 ? 0 : static_cast<std::size_t>(size);
  stream.unread.resize(before + more);
  left_ -= more;
  check(stream);
  return more != 0;
}

// Each producer counts up, and a client hears one producer.
void Reader::check(Stream& stream) {
  const std::size_t whole = stream.unread.size() / sizeof(std::uint64_t) * sizeof(std::uint64_t);
  for (std::size_t at = 0; at < whole; at += sizeof(std::uint64_t)) {
    std::uint64_t number = 0;
    std::memcpy(&number, stream.unread.data() + at, sizeof number);
    if (stream.begun && number <= stream.last) load::wrong_byte(": a number comes too late");
    stream.last = number;
    stream.begun = true;
  }
  stream.unread.erase(stream.unread.begin(), stream.unread.begin() + static_cast<std::ptrdiff_t>(whole));
}

}  // namespace notes
