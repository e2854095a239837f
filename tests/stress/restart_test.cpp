// Guarantee 24: with dup_listeners() and drain() a restart loses nothing: this counts.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "internal/net/addr_access.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/restarted_program.hpp"

namespace evio::test {
namespace {

// EVIO_TEST_RESTARTS says how many, where that is set.
const std::size_t kRestarts = [] {
  const char* const wanted = std::getenv("EVIO_TEST_RESTARTS");
  return wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : kSanitized ? 4 : 10;
}();

class RestartTest : public ServerTest {
 protected:
  // Clients that never stop while the program is replaced again and again: some with a connection for each message,
  // some with one for a hundred.
  void restart_under_load(const std::string& address) {
    RestartedProgram restarted({"--loops=4", "--drain=3600", address});
    const Addr addr = address_of(restarted.program(), address.starts_with("unix"));
    std::vector<std::thread> threads;
    for (const int messages : {1, 1, 1, 100, 100})
      threads.emplace_back([this, addr, messages] { load(addr, messages); });
    for (std::size_t i = 0; i != kRestarts; ++i) {
      restarted.restart();
      EXPECT_TRUE(answered_.wait_for(answered_.value() + 200));
    }
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(restarted.count(), kRestarts + 1);
    for (std::size_t i = 0; i != kRestarts; ++i) EXPECT_TRUE(restarted.has_ended(i)) << i;
    EXPECT_EQ(refused_, 0);
    EXPECT_EQ(lost_, 0);
  }

 private:
  static Addr address_of(Program& program, bool is_unix) {
    if (is_unix) return internal::AddrAccess::path(program.path("s"));
    const unsigned char loopback[] = {127, 0, 0, 1};
    return internal::AddrAccess::ip(internal::Network::kTcp, loopback, false,
                                    static_cast<std::uint16_t>(program.port()), 0);
  }
  void load(const Addr& addr, int messages) {
    while (!stop_) {
      Client client(addr, {.may_be_refused = true});
      if (!client.connected()) ++refused_;
      for (int i = 0; i != messages && client.connected() && !stop_; ++i) {
        if (client.send_all("hello") && client.receive(5) == "hello") {
          answered_.add();
        } else {
          ++lost_;
          break;
        }
      }
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<int> refused_{0};
  std::atomic<int> lost_{0};
  Counter answered_;
};

TEST_F(RestartTest, OfTcpLosesNothing) { restart_under_load("tcp://127.0.0.1:0"); }
TEST_F(RestartTest, OfTcpWithReuseportLosesNothing) { restart_under_load("tcp://127.0.0.1:0?reuseport=true"); }
TEST_F(RestartTest, OfAUnixSocketLosesNothing) { restart_under_load("unix://s"); }

}  // namespace
}  // namespace evio::test
