// Guarantee 23: many more dials at once than there are descriptors for.
#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/support/dial_fixture.hpp"
#include "tests/support/quiet_listener.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kDials = 10'000;
constexpr rlim_t kDescriptors = 1'000;

class DialLimitTest : public DialTest {
 protected:
  void SetUp() override {
    DialTest::SetUp();
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
  }
  void TearDown() override {
    ::setrlimit(RLIMIT_NOFILE, &before_);
    listener_.reset();
    DialTest::TearDown();
  }

  rlimit before_{};
  std::unique_ptr<QuietListener> listener_;
};
EVIO_INSTANTIATE(DialLimitTest, modes_of(Network::kTcp));

TEST_P(DialLimitTest, EachIsOpenedOrUnreachableOnceAndLaterOnesAreOpened) {
  Counter ended;
  std::atomic<std::size_t> unreachable{0};
  std::mutex mutex;
  std::vector<int> told(kDials);
  std::vector<Conn> opened;
  Events handlers = this->handlers();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    {
      const std::lock_guard lock(mutex);
      ++told[*conn.context<std::size_t>()];
      opened.push_back(conn);
    }
    ended.add();
    return Action::None;
  };
  handlers.unreachable = [&](Conn& conn, const Error& err) {
    EXPECT_EQ(err.code(), std::errc::too_many_files_open) << err.message();
    {
      const std::lock_guard lock(mutex);
      ++told[*conn.context<std::size_t>()];
    }
    ++unreachable;
    ended.add();
  };
  serve(handlers);
  listener_ = std::make_unique<QuietListener>();
  rlimit limit = before_;
  limit.rlim_cur = kDescriptors;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  for (std::size_t i = 0; i != kDials; ++i) server().dial(listener_->address(), i, {.timeout = kPatience});
  ASSERT_TRUE(ended.wait_for(kDials));
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(told, std::vector<int>(kDials, 1));
    EXPECT_EQ(opened.size() + unreachable, kDials);
    EXPECT_GT(opened.size(), kDescriptors / 2);
    EXPECT_LT(opened.size(), kDescriptors);
    for (const Conn& conn : opened) EXPECT_TRUE(conn.abort());  // which keeps no descriptor
    opened.clear();
    told.assign(kDials, 0);
  }
  ASSERT_TRUE(eventually([&] { return baseline().new_descriptors().size() < 100; }));
  const std::size_t before = unreachable;
  for (std::size_t i = 0; i != 10; ++i) server().dial(listener_->address(), i);
  ASSERT_TRUE(ended.wait_for(kDials + 10));
  EXPECT_EQ(unreachable, before);
  const std::lock_guard lock(mutex);
  opened.clear();
}

}  // namespace
}  // namespace evio::test
