// Guarantee 24: what the options of an address, and given sockets, come to where a system call fails.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

class AddressOptionsFailureTest : public ServerTest {};

// A serve() that is to fail, on a thread whose calls go through the injection.
Error serve_elsewhere(const std::string& address) {
  TestServer server(Events(), address);
  EXPECT_FALSE(server.started()) << address;
  server.shutdown();
  return server.wait();
}

// Nobody can connect to a socket that does not listen yet (ECONNREFUSED).
TEST_F(AddressOptionsFailureTest, TheModeIsThereBeforeTheSocketListens) {
  const std::string file = path("s");
  std::atomic<int> mode{-1};
  const Injection injection([&](Invocation& invocation) {
    struct stat info {};
    if (invocation.call == Call::kListen && ::stat(file.c_str(), &info) == 0) mode = info.st_mode & 07777;
    return 0;
  });
  const TestServer server(Events(), "unix://" + file + "?mode=0624");
  EXPECT_TRUE(server.started());
  EXPECT_EQ(mode, 0624);
}

TEST_F(AddressOptionsFailureTest, AModeThatCannotBeSetIsAnErrorAndLeavesNoFile) {
  const std::string address = "unix://" + path("s") + "?mode=0600";
  const Injection injection([](Invocation& invocation) { return invocation.call == Call::kFchmodat ? EPERM : 0; });
  const Error err = serve_elsewhere(address);
  EXPECT_EQ(err.message(), "listen " + address + ": chmod: Operation not permitted");
  EXPECT_EQ(injection.count(Call::kListen), 0);
  EXPECT_TRUE(entries_of(path("")).empty());
}

TEST_F(AddressOptionsFailureTest, ASymbolicLinkInItsPlaceIsNotFollowed) {
  const std::string file = path("s");
  const std::string other = path("other");
  const UniqueFd made(::open(other.c_str(), O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
  const std::string address = "unix://" + file + "?mode=0666";
  const Injection injection([&](Invocation& invocation) {
    if (invocation.call != Call::kFchmodat) return 0;
    std::filesystem::remove(file);
    std::filesystem::create_symlink(other, file);
    return 0;
  });
  const Error err = serve_elsewhere(address);
  EXPECT_NE(err.message().find(": chmod: "), std::string::npos) << err.message();
  struct stat info {};
  EXPECT_EQ(::fstat(made.get(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::filesystem::remove(file);
  std::filesystem::remove(other);
}

TEST_F(AddressOptionsFailureTest, OfAGivenSocketEachCallMayFail) {
  for (const Call call : {Call::kFcntl, Call::kGetsockname, Call::kGetsockopt, Call::kSetsockopt}) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(::listen(fd, 1), 0);
    const std::string address = "fd://" + std::to_string(fd);
    const Injection injection([&](Invocation& invocation) {
      const bool looks = call == Call::kFcntl && invocation.operation == F_GETFD;  // whether it is open
      return invocation.call == call && invocation.fd == fd && !looks ? ENOBUFS : 0;
    });
    const Error err = serve_elsewhere(address);
    EXPECT_EQ(err.code().value(), ENOBUFS) << name_of(call) << ": " << err.message();
    EXPECT_TRUE(err.message().starts_with("listen " + address + ": ")) << err.message();
    EXPECT_NE(err.message().find(name_of(call)), std::string::npos) << err.message();
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  }
}

}  // namespace
}  // namespace evio::test
