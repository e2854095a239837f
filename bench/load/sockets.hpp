#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace load {

/// The sole owner of a descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  void reset();

 private:
  int fd_ = -1;
};

/// Both say what happened, with errno, and end the program.
[[noreturn]] void fail(const std::string& what);
[[noreturn]] void wrong_byte(const std::string& where = "");

inline std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Connects over the loopback, from source address number `source`: there are many, so that ports in TIME_WAIT do not
/// run out. `segment`: the most bytes of a segment in either direction; 0: what the loopback takes.
Descriptor connect_tcp(int port, std::uint64_t source, bool blocking, int segment = 0);
Descriptor connect_udp(int port, bool blocking);
void send_without_delay(int fd);
void stop_blocking(int fd);
int port_of(int fd);

/// On blocking sockets: all of the bytes, and whether exactly those come back.
void send_all(int fd, std::string_view bytes);
bool receive_all(int fd, std::string_view expected, std::vector<char>& buffer);

/// As many descriptors as the machine allows.
void raise_descriptor_limit();

}  // namespace load
