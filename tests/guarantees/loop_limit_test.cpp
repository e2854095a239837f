// A loop is a thread and two descriptors: more loops than the system has room for are an Error that says why.
#include <sys/resource.h>

#include <string>

#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

class LoopLimitTest : public ModeTest {
 protected:
  static constexpr rlim_t kLimit = 100;

  void SetUp() override {
    ModeTest::SetUp();
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit lowered = before_;
    lowered.rlim_cur = kLimit;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  void TearDown() override {
    ::setrlimit(RLIMIT_NOFILE, &before_);
    ModeTest::TearDown();
  }
  // What serve says of 1000 loops.
  static std::string refused(const std::vector<std::string>& addrs) {
    const Error err = serve(Events{.num_loops = 1000}, addrs);
    EXPECT_EQ(err.code(), std::errc::too_many_files_open);
    return err.message();
  }

 private:
  rlimit before_{};
};
EVIO_INSTANTIATE(LoopLimitTest, modes_of({1}));

TEST_P(LoopLimitTest, NamesTheLimitOfDescriptors) {
  const std::string first = address();
  const std::string second = address();
  const std::string message = refused({first, second});
  EXPECT_TRUE(message.starts_with("serve " + first + ", " + second + ": loop ")) << message;
  EXPECT_NE(message.find(" of 1000: "), std::string::npos) << message;
  EXPECT_TRUE(
      message.ends_with(" (ulimit -n, the limit of open descriptors, is 100); a loop is a thread and two descriptors"))
      << message;
}

class ReuseportLimitTest : public LoopLimitTest {};
EVIO_INSTANTIATE(ReuseportLimitTest, modes_of(Network::kTcp, {1}));

TEST_P(ReuseportLimitTest, OfDescriptorsIsNamedWhereEachLoopHasASocket) {
  const std::string given = address() + "?reuseport=1";
  const std::string message = refused({given});
  EXPECT_TRUE(message.starts_with("listen " + given + ": socket: ")) << message;
  EXPECT_NE(message.find(" (ulimit -n, the limit of open descriptors, is 100), for loop "), std::string::npos)
      << message;
  EXPECT_TRUE(message.ends_with(" of 1000")) << message;
}

}  // namespace
}  // namespace evio::test
