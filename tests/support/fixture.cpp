#include "tests/support/fixture.hpp"

#include <sched.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/support/process.hpp"

namespace evio::test {
namespace {

std::string name_of_current_test() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::string(info->test_suite_name()) + "." + info->name();
}

}  // namespace

ServerTest::ServerTest() = default;
ServerTest::~ServerTest() = default;

void ServerTest::SetUp() {
  watchdog_ = std::make_unique<Watchdog>(name_of_current_test(), kWatchdogLimit);
  baseline_ = std::make_unique<Baseline>();
}

void ServerTest::TearDown() {
  EXPECT_EQ(baseline_->difference(), "");
  if (!folder_.empty()) {
    EXPECT_EQ(entries_of(folder_), std::set<std::string>()) << "files are left in " << folder_;
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  watchdog_.reset();
}

std::string ServerTest::path(const std::string& name) {
  if (folder_.empty()) {
    std::string folder = std::filesystem::temp_directory_path() / "evio-test-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) ADD_FAILURE() << "cannot make a folder in " << folder;
    folder_ = folder;
  }
  return folder_ + "/" + name;
}

bool ServerTest::all_sleep(std::chrono::milliseconds time) const {
  return eventually([&] { return sleep_through(baseline_->new_threads(), time); });
}

void ModeTest::SetUp() {
  if (mode().is_tls()) test_tls_context();  // what OpenSSL keeps for ever is no descriptor of the test's
  ServerTest::SetUp();
  Client::speak_tls(mode().is_tls());
}

void ModeTest::TearDown() {
  ServerTest::TearDown();
  Client::speak_tls(false);
}

Events ModeTest::events() {
  Events events;
  events.num_loops = mode().loops;
  if (mode().is_tls()) events.tls = [](int, std::string_view) { return test_tls_context(); };
  return events;
}

std::string ModeTest::address() {
  const std::string scheme = mode().scheme() + "://";
  return scheme + (mode().is_tcp() ? "127.0.0.1:0" : path("s" + std::to_string(addresses_++)));
}

std::string ModeTest::dial_address(const Addr& addr) {
  const bool encrypted = mode().is_tls() && addr.network() == "tcp";
  return (encrypted ? "tls" : addr.network()) + "://" + addr.to_string();
}

std::string ModeTest::dial_address(int port, const std::string& host) {
  return (mode().is_tls() ? "tls://" : "tcp://") + host + ':' + std::to_string(port);
}

Dial ModeTest::dial_how(Dial how) {
  if (mode().is_tls()) how.tls = test_dial_context();
  return how;
}

int ModeTest::loops() { return mode().loops < 0 ? processors() : mode().loops; }

int processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace evio::test
