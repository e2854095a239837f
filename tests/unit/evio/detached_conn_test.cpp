#include "evio/detached_conn.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "tests/support/sync.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// Both ends of a stream.
struct Pair {
  Pair() {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    conn = DetachedConn(fds[0]);
    peer = test::UniqueFd(fds[1]);
  }
  DetachedConn conn;
  test::UniqueFd peer;
};

std::string read_some(DetachedConn& conn, std::size_t n, Error& err) {
  std::string text(n, '\0');
  text.resize(conn.read(text, err));
  return text;
}

TEST(DetachedConnTest, OfNothingSaysSo) {
  DetachedConn conn;
  EXPECT_EQ(conn.fd(), -1);
  EXPECT_EQ(conn.release(), -1);
  Error err;
  EXPECT_EQ(read_some(conn, 1, err), "");
  EXPECT_EQ(err.code(), std::errc::bad_file_descriptor);
  EXPECT_EQ(conn.write("x", err), 0u);
  EXPECT_EQ(err.code(), std::errc::bad_file_descriptor);
  EXPECT_TRUE(conn.close());
}

TEST(DetachedConnTest, ReadsAndWrites) {
  Pair pair;
  Error err(std::make_error_code(std::errc::address_in_use));
  EXPECT_EQ(pair.conn.write("hello", err), 5u);
  EXPECT_FALSE(err) << "it is reset first";
  std::array<char, 16> buffer{};
  EXPECT_EQ(::read(pair.peer.get(), buffer.data(), buffer.size()), 5);
  EXPECT_EQ(::write(pair.peer.get(), "world", 5), 5);
  err = Error(std::make_error_code(std::errc::address_in_use));
  EXPECT_EQ(read_some(pair.conn, 3, err), "wor");
  EXPECT_FALSE(err);
  EXPECT_EQ(read_some(pair.conn, 300, err), "ld");
}

TEST(DetachedConnTest, NothingWithoutAnErrorIsTheEnd) {
  Pair pair;
  pair.peer.reset();
  Error err;
  EXPECT_EQ(read_some(pair.conn, 10, err), "");
  EXPECT_FALSE(err);
}

TEST(DetachedConnTest, WritesAllHoweverLongThatTakes) {
  Pair pair;
  const std::string text(4 << 20, 'x');
  std::size_t received = 0;
  std::thread reader([&] {
    std::string buffer(1 << 16, '\0');
    for (ssize_t n = 0; (n = ::read(pair.peer.get(), buffer.data(), buffer.size())) > 0;)
      received += static_cast<std::size_t>(n);
  });
  Error err;
  EXPECT_EQ(pair.conn.write(text, err), text.size());
  EXPECT_FALSE(err);
  EXPECT_FALSE(pair.conn.close());
  reader.join();
  EXPECT_EQ(received, text.size());
}

TEST(DetachedConnTest, AFailedWriteSaysHowMuchWent) {
  Pair pair;
  std::thread reader([&] {
    std::string buffer(1 << 16, '\0');
    EXPECT_GT(::read(pair.peer.get(), buffer.data(), buffer.size()), 0);
    pair.peer.reset();
  });
  const std::string text(16 << 20, 'x');
  Error err;
  const std::size_t written = pair.conn.write(text, err);
  reader.join();
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, text.size());
  EXPECT_TRUE(err);
  EXPECT_EQ(pair.conn.write("more", err), 0u);
  EXPECT_EQ(err.code(), std::errc::broken_pipe);
  EXPECT_NE(err.message(), "");
}

TEST(DetachedConnTest, ASignalInterruptsNothing) {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = [](int) {};  // no SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &ignore, &before), 0);
  Pair pair;
  std::atomic<bool> done{false};
  std::string got;
  Error err;
  test::Gate reading;
  std::thread reader([&] {
    reading.open();
    got = read_some(pair.conn, 100, err);
    done = true;
  });
  EXPECT_TRUE(reading.wait());
  for (int i = 0; i != 20; ++i) {
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  EXPECT_FALSE(done);
  EXPECT_EQ(::write(pair.peer.get(), "text", 4), 4);
  reader.join();
  EXPECT_EQ(got, "text");
  EXPECT_FALSE(err);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(DetachedConnTest, OwnsTheDescriptor) {
  int fd = -1;
  {
    Pair pair;
    fd = pair.conn.fd();
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(DetachedConnTest, CloseClosesOnce) {
  Pair pair;
  const int fd = pair.conn.fd();
  EXPECT_FALSE(pair.conn.close());
  EXPECT_FALSE(is_open(fd));
  EXPECT_EQ(pair.conn.fd(), -1);
  const Error again = pair.conn.close();
  EXPECT_EQ(again.code(), std::errc::bad_file_descriptor);
}

TEST(DetachedConnTest, ReleaseGivesItAway) {
  int fd = -1;
  {
    Pair pair;
    fd = pair.conn.release();
    EXPECT_EQ(pair.conn.fd(), -1);
  }
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

TEST(DetachedConnTest, MovesAndIsNotCopied) {
  EXPECT_FALSE(std::is_copy_constructible_v<DetachedConn>);
  EXPECT_TRUE(std::is_nothrow_move_constructible_v<DetachedConn>);
  Pair pair;
  const int fd = pair.conn.fd();
  DetachedConn moved = std::move(pair.conn);
  EXPECT_EQ(moved.fd(), fd);
  EXPECT_EQ(pair.conn.fd(), -1);  // NOLINT(bugprone-use-after-move): what is asked here
  Pair other;
  const int old = other.conn.fd();
  other.conn = std::move(moved);
  EXPECT_EQ(other.conn.fd(), fd);
  EXPECT_TRUE(is_open(fd));
  moved = DetachedConn();
  EXPECT_FALSE(is_open(old));
}

TEST(DetachedConnTest, WritesToAPipeToo) {
  std::array<int, 2> ends{-1, -1};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  DetachedConn out(ends[1]);
  DetachedConn in(ends[0]);
  Error err;
  EXPECT_EQ(out.write("through", err), 7u);
  EXPECT_FALSE(err);
  EXPECT_EQ(read_some(in, 100, err), "through");
}

// A pipe of which no one reads the other end.
DetachedConn broken_pipe() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ::close(ends[0]);
  return DetachedConn(ends[1]);
}

bool sigpipe_is(int (*query)(sigset_t*)) {
  sigset_t set;
  return query(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}
bool sigpipe_is_pending() { return sigpipe_is(::sigpending); }
bool sigpipe_is_blocked() {
  return sigpipe_is([](sigset_t* set) { return ::pthread_sigmask(SIG_BLOCK, nullptr, set); });
}

TEST(DetachedConnTest, APipeWithoutAReaderRaisesNoSignal) {
  DetachedConn pipe = broken_pipe();
  Error err;
  EXPECT_EQ(pipe.write("to no one", err), 0u);
  EXPECT_EQ(err.code(), std::errc::broken_pipe);
  EXPECT_FALSE(sigpipe_is_pending());
  EXPECT_FALSE(sigpipe_is_blocked());
}

TEST(DetachedConnTest, ABlockedPendingSignalStaysPending) {
  DetachedConn pipe = broken_pipe();
  sigset_t set;
  sigset_t before;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &set, &before), 0);
  Error err;
  pipe.write("to no one", err);
  EXPECT_EQ(err.code(), std::errc::broken_pipe);
  EXPECT_FALSE(sigpipe_is_pending()) << "the write left one";
  EXPECT_TRUE(sigpipe_is_blocked());
  ::raise(SIGPIPE);
  pipe.write("to no one", err);
  EXPECT_TRUE(sigpipe_is_pending()) << "the write took the caller's";
  const timespec now{};
  EXPECT_EQ(::sigtimedwait(&set, nullptr, &now), SIGPIPE);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// It waits for nothing then, and says how far it came.
TEST(DetachedConnTest, ANonBlockingDescriptorStaysSo) {
  std::array<int, 2> fds{-1, -1};
  ASSERT_EQ(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
  DetachedConn in(fds[0]);
  DetachedConn out(fds[1]);
  Error err;
  EXPECT_EQ(read_some(in, 10, err), "");
  EXPECT_EQ(err.code(), std::errc::resource_unavailable_try_again);
  const std::string text(1 << 20, 'x');
  const std::size_t written = out.write(text, err);
  EXPECT_EQ(err.code(), std::errc::resource_unavailable_try_again);
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, text.size());
  std::size_t arrived = 0;
  for (std::size_t n = 0; (n = read_some(in, text.size(), err).size()) > 0;) arrived += n;
  EXPECT_EQ(arrived, written);
}

TEST(DetachedConnTest, NothingToWriteAndNowhereToReadToAreNoErrors) {
  Pair pair;
  ASSERT_EQ(::write(pair.peer.get(), "text", 4), 4);
  Error err(std::make_error_code(std::errc::address_in_use));
  EXPECT_EQ(pair.conn.read({}, err), 0u);
  EXPECT_FALSE(err);
  err = Error(std::make_error_code(std::errc::address_in_use));
  EXPECT_EQ(pair.conn.write("", err), 0u);
  EXPECT_FALSE(err);
  EXPECT_EQ(read_some(pair.conn, 10, err), "text");
}

// Linux takes 2 GiB - 4 KiB in one call, whatever it is asked.
TEST(DetachedConnTest, WritesMoreThanOneCallCanTake) {
  if (sizeof(void*) < 8 || test::kSanitized) GTEST_SKIP() << "no room for that much, or for what is noted of it";
  constexpr std::size_t kSize = std::size_t{5} << 30;
  void* const zeros = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(zeros, MAP_FAILED);
  DetachedConn sink(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  Error err;
  EXPECT_EQ(sink.write({static_cast<const char*>(zeros), kSize}, err), kSize);
  EXPECT_FALSE(err);
  ::munmap(zeros, kSize);
}

TEST(DetachedConnTest, DescriptorZeroIsOneLikeAnyOther) {
  const test::UniqueFd saved(::fcntl(0, F_DUPFD_CLOEXEC, 3));
  Pair pair;
  ASSERT_EQ(::dup2(pair.conn.fd(), 0), 0);
  {
    DetachedConn zero(0);
    Error err;
    EXPECT_EQ(zero.write("from zero", err), 9u);
    DetachedConn moved = std::move(zero);
    EXPECT_EQ(moved.fd(), 0);
    ASSERT_EQ(::write(pair.peer.get(), "to zero", 7), 7);
    EXPECT_EQ(read_some(moved, 10, err), "to zero");
  }
  EXPECT_FALSE(is_open(0)) << "its destructor closes it";
  if (saved.valid()) ::dup2(saved.get(), 0);
}

}  // namespace
}  // namespace evio
