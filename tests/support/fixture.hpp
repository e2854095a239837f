#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "tests/support/baseline.hpp"
#include "tests/support/client.hpp"
#include "tests/support/event_log.hpp"
#include "tests/support/mode.hpp"
#include "tests/support/sync.hpp"
#include "tests/support/test_server.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {

/// A test that must leave nothing behind: at its end descriptors, threads and its folder must be as they were at its
/// beginning. A watchdog ends it when it hangs.
class ServerTest : public testing::Test {
 protected:
  ServerTest();
  ~ServerTest() override;
  void SetUp() override;
  void TearDown() override;

  /// A path in the test's own folder, which is made by the first call.
  std::string path(const std::string& name);
  /// The threads and descriptors that have come since the test began are the server's, and the test's own.
  const Baseline& baseline() const { return *baseline_; }
  /// Whether all of those threads come to sleep through that time, as they do when nothing is left to be done.
  [[nodiscard]] bool all_sleep(std::chrono::milliseconds time = std::chrono::milliseconds(250)) const;

 private:
  std::unique_ptr<Watchdog> watchdog_;
  std::unique_ptr<Baseline> baseline_;
  std::string folder_;
};

/// The same in every Mode.
class ModeTest : public ServerTest, public testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override;
  void TearDown() override;
  static const Mode& mode() { return GetParam(); }
  /// Events with this mode's number of loops.
  static Events events();
  /// An address of this mode's network and poller: any port, or a path no one has.
  std::string address();
  /// How many loops that makes here.
  static int loops();

  /// The text that dials this address, and that port over TCP; in a mode of TLS over that.
  static std::string dial_address(const Addr& addr);
  static std::string dial_address(int port, const std::string& host = "127.0.0.1");
  /// The same, and in a mode of TLS a context that trusts the tests' certificate.
  static Dial dial_how(Dial how = {});

 private:
  int addresses_ = 0;
};

/// How many processors this process may run on.
int processors();

}  // namespace evio::test
