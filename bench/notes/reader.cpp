#include "reader.hpp"

#include <poll.h>

namespace notes {

void Reader::run() {
  constexpr int kStalled = 10'000;
  std::vector<pollfd> ready;
  for (const load::Descriptor& client : clients_) ready.push_back({client.get(), POLLIN, 0});
  while (left_ > 0) {
    if (poll(ready.data(), ready.size(), kStalled) <= 0) load::fail("what was sent does not arrive");
    for (std::size_t i = 0; i < ready.size(); ++i) {
      if (ready[i].revents != 0) read(i);
    }
  }
}

void Reader::read(std::size_t i) {
  constexpr std::size_t kAtOnce = 64 * 1024;
  Stream& stream = streams_[i];
  const std::size_t before = stream.unread.size();
  stream.unread.resize(before + kAtOnce);
  const ssize_t size = recv(clients_[i].get(), stream.unread.data() + before, kAtOnce, MSG_DONTWAIT);
  if (size <= 0) load::fail("recv");
  stream.unread.resize(before + static_cast<std::size_t>(size));
  left_ -= static_cast<std::uint64_t>(size);
  check(stream);
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
