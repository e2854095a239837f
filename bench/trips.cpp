// The program that bench/trips traces: prints the address of each function that was entered for one echoed message, and
// for one message that another thread sends.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "evio/evio.hpp"

namespace {

std::array<void*, 4096> entered;
std::atomic<std::size_t> count{0};
std::atomic<bool> recording{false};

void print(const char* what) {
  recording = false;
  for (std::size_t i = 0; i != count; ++i) std::printf("%s %p\n", what, entered[i]);
  count = 0;
}

int connect_to(int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<in_port_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? fd : -1;
}

std::atomic<int> loop_thread{0};

// Returns once the loop's thread sleeps, which it does in its wait alone: what a message passes ends there (proc(5)).
void settle() {
  const std::string path = "/proc/self/task/" + std::to_string(loop_thread) + "/stat";
  for (;;) {
    std::string stat;
    std::getline(std::ifstream(path), stat);
    const std::size_t name_end = stat.rfind(')');
    if (name_end != std::string::npos && stat.compare(name_end, 3, ") S") == 0) return;
    std::this_thread::yield();
  }
}

void receive(int fd) {
  char byte = 0;
  if (::read(fd, &byte, 1) != 1) std::perror("read");
  settle();
}

}  // namespace

extern "C" {
void __cyg_profile_func_enter(void* function, void*) {
  if (recording.load(std::memory_order_relaxed)) entered[count++] = function;
}
void __cyg_profile_func_exit(void*, void*) {}
}

int main() {
  std::promise<evio::Server> serving;
  std::promise<evio::Conn> opened;
  evio::Events events;
  events.serving = [&](const evio::Server& server) {
    loop_thread = ::gettid();
    serving.set_value(server);
    return evio::Action::None;
  };
  events.opened = [&](evio::Conn& conn, evio::Output&, evio::Options&) {
    opened.set_value(conn);
    return evio::Action::None;
  };
  events.data = [](evio::Conn&, const evio::Bytes& in, evio::Output& out) {
    out = in;
    return evio::Action::None;
  };
  std::thread thread([&] {
    if (const auto err = evio::serve(events, "tcp4://127.0.0.1:0")) std::puts(err.message().c_str());
  });
  const evio::Server server = serving.get_future().get();
  const int fd = connect_to(server.addrs().front().port());
  const evio::Conn conn = opened.get_future().get();
  for (const char* what : {"warm", "byte"}) {
    settle();
    recording = true;
    if (::write(fd, "x", 1) != 1) return 1;
    receive(fd);
    print(what);
  }
  for (const char* what : {"warm", "send"}) {
    settle();
    recording = true;
    conn.send("x");
    receive(fd);
    print(what);
  }
  ::close(fd);
  server.shutdown();
  thread.join();
}
