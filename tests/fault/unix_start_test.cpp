// Guarantee 17: of several servers that start on one unix path at once exactly one serves, and it notices nothing of
// the others.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fault/inject.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"
#include "tests/support/process.hpp"

namespace evio::test {
namespace {

// A server that is being started, on a thread of its own.
class Start {
 public:
  Start(const std::string& address, int loops) {
    Events events;
    events.num_loops = loops;
    events.opened = [this](Conn&, Output&, Options&) {
      opened_.add();
      return Action::None;
    };
    events.data = echo;
    events.serving = [this](const Server& server) {
      server_ = server;
      serving_.open();
      decided_.open();
      return Action::None;
    };
    thread_ = std::thread([this, address, events = std::move(events)]() mutable {
      error_ = serve(std::move(events), address);
      decided_.open();
    });
  }
  ~Start() {
    EXPECT_TRUE(decided_.wait());
    server_.shutdown();
    thread_.join();
  }
  Start(const Start&) = delete;
  Start& operator=(const Start&) = delete;

  /// Whether it serves, once that is decided.
  bool serves() const {
    EXPECT_TRUE(decided_.wait());
    return serving_.is_open();
  }
  bool is_decided() const { return decided_.is_open(); }
  /// Why it does not serve.
  const Error& error() const { return error_; }
  std::size_t opened() const { return opened_.value(); }
  const Server& server() const { return server_; }

 private:
  Gate serving_;
  Gate decided_;
  Counter opened_;
  Server server_;
  Error error_;
  std::thread thread_;
};

sockaddr_un address_of(const std::string& file) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  file.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

UniqueFd bind_socket(const std::string& file, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(file);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

class UnixStartTest : public ModeTest {
 protected:
  std::string file() { return path("s"); }
  std::string lock_file() { return path("s.lock"); }
  std::string unix_address() { return mode().scheme() + "://" + file(); }
  std::unique_ptr<Start> start() { return std::make_unique<Start>(unix_address(), mode().loops); }
  // serve, which must refuse.
  Error refused() {
    Events handlers = events();
    handlers.serving = [](const Server&) {
      ADD_FAILURE() << "it serves";
      return Action::Shutdown;
    };
    return serve(std::move(handlers), unix_address());
  }
  // A socket that its process has left behind.
  void leave_a_dead_socket() { bind_socket(file(), SOCK_STREAM).reset(); }

  // Of these one serves, alone and as if it had been alone; the others say why they do not.
  void expect_one_of(const std::vector<Start*>& starts) {
    const Start* serving = nullptr;
    for (const Start* one : starts) {
      if (one->serves()) {
        EXPECT_EQ(serving, nullptr) << "more than one serves";
        serving = one;
      } else {
        EXPECT_EQ(one->error().code(), std::errc::address_in_use) << one->error().message();
        EXPECT_NE(one->error().message().find(unix_address()), std::string::npos) << one->error().message();
      }
    }
    ASSERT_NE(serving, nullptr) << "none serves";
    EXPECT_EQ(entries_of(path("")), std::set<std::string>{"s"});
    Client client(serving->server().addrs().at(0));
    client.send_all("hello");
    EXPECT_EQ(client.receive(5), "hello");
    EXPECT_EQ(serving->opened(), 1u) << "it saw those that were refused";
  }

  // Holds the first start as it makes `call`, until the second has been refused, serves or waits.
  void start_two(Call call) {
    Gate held;
    Gate go_on;
    Counter waits;
    std::unique_ptr<Start> first;
    std::unique_ptr<Start> second;
    {
      Injection injection([&](Invocation& invocation) {
        if (invocation.call == Call::kNanosleep) waits.add();
        if (invocation.call != call || held.is_open()) return 0;
        held.open();
        EXPECT_TRUE(go_on.wait());
        return 0;
      });
      first = start();
      EXPECT_TRUE(held.wait());
      second = start();
      EXPECT_TRUE(eventually([&] { return waits.value() > 1 || second->is_decided(); }));
      go_on.open();
      expect_one_of({first.get(), second.get()});
    }
    EXPECT_TRUE(first->serves()) << "the one that was first";
  }
};
EVIO_INSTANTIATE(UnixStartTest, modes_of(Network::kUnix, {1, 4}));

TEST_P(UnixStartTest, HeldBeforeItUnlinksKeepsTheOtherOut) {
  leave_a_dead_socket();
  start_two(Call::kUnlink);
}

TEST_P(UnixStartTest, HeldBeforeItBindsKeepsTheOtherOut) { start_two(Call::kBind); }

TEST_P(UnixStartTest, HeldBeforeItListensKeepsTheOtherOut) { start_two(Call::kListen); }

TEST_P(UnixStartTest, OfManyAtOnceOneServes) {
  for (int round = 0; round < 10; ++round) {
    if (round % 2 == 0) leave_a_dead_socket();
    std::vector<std::unique_ptr<Start>> starts;
    std::vector<Start*> all;
    for (int i = 0; i < 8; ++i) all.push_back(starts.emplace_back(start()).get());
    expect_one_of(all);
  }
}

TEST_P(UnixStartTest, RefusedIsNotSeenByTheOneThatServes) {
  Start first(unix_address(), mode().loops);
  ASSERT_TRUE(first.serves());
  for (int i = 0; i < 20; ++i) {
    const Start refused(unix_address(), mode().loops);
    EXPECT_FALSE(refused.serves());
    EXPECT_EQ(refused.error().message(), "listen " + unix_address() + ": the socket is in use");
  }
  expect_one_of({&first});
}

// Sockets that are alive, though a stream socket cannot connect to them.
TEST_P(UnixStartTest, ASocketThatAProcessHasIsLeftToIt) {
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
    const UniqueFd fd = bind_socket(file(), type);
    struct stat before {};
    ASSERT_EQ(::lstat(file().c_str(), &before), 0);
    const Error err = refused();
    EXPECT_EQ(err.code(), std::errc::address_in_use) << err.message();
    struct stat after {};
    ASSERT_EQ(::lstat(file().c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    std::filesystem::remove(file());
  }
}

TEST_P(UnixStartTest, ALockThatACrashLeftDoesNoHarm) {
  std::ofstream(lock_file()).close();
  leave_a_dead_socket();
  Start only(unix_address(), mode().loops);
  expect_one_of({&only});
}

// The lock's name may be somebody's file already.
TEST_P(UnixStartTest, AFileOfTheLocksNameIsNotRemoved) {
  std::ofstream(lock_file()) << "precious\n";
  {
    const Start only(unix_address(), mode().loops);
    EXPECT_TRUE(only.serves()) << only.error().message();
  }
  EXPECT_EQ(lines_of(lock_file()), std::vector<std::string>{"precious"});
  std::filesystem::remove(lock_file());
}

TEST_P(UnixStartTest, ALockThatIsNoFileIsNamedInTheError) {
  const auto expect_error = [&](std::errc code) {
    const Error err = refused();
    EXPECT_EQ(err.code(), code) << err.message();
    EXPECT_NE(err.message().find(lock_file()), std::string::npos) << err.message();
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::symlink_status(lock_file())));
    EXPECT_FALSE(std::filesystem::exists(file()));
    std::filesystem::remove(lock_file());
  };
  std::filesystem::create_directory(lock_file());
  expect_error(std::errc::is_a_directory);
  std::filesystem::create_symlink("elsewhere", lock_file());
  expect_error(std::errc::too_many_symbolic_link_levels);
  ASSERT_EQ(::mkfifo(lock_file().c_str(), 0600), 0);
  expect_error(std::errc::address_in_use);
}

// Between open(2) and flock(2) the file is removed by the one that had it locked, and another locks a new one.
TEST_P(UnixStartTest, ALockOnAFileThatIsGoneIsNone) {
  UniqueFd other;
  std::atomic<bool> waited{false};
  const Injection injection([&](Invocation& invocation) {
    if (invocation.call == Call::kFlock && !other.valid() && !waited) {
      std::filesystem::remove(lock_file());
      other = UniqueFd(::open(lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      EXPECT_EQ(::flock(other.get(), LOCK_EX), 0);
    } else if (invocation.call == Call::kNanosleep && other.valid()) {
      waited = true;
      std::filesystem::remove(lock_file());
      other.reset();
    }
    return 0;
  });
  Start only(unix_address(), mode().loops);
  EXPECT_TRUE(only.serves()) << only.error().message();
  EXPECT_TRUE(waited) << "it went on while another had the lock";
  expect_one_of({&only});
}

// The sleeps in between are left out.
TEST_P(UnixStartTest, IsNotWaitedForForEver) {
  const UniqueFd other(::open(lock_file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
  const Injection injection([](Invocation& invocation) { return invocation.call == Call::kNanosleep ? EINTR : 0; });
  const Start refused(unix_address(), mode().loops);
  EXPECT_FALSE(refused.serves());
  EXPECT_EQ(refused.error().code(), std::errc::address_in_use);
  EXPECT_NE(refused.error().message().find("another process is starting"), std::string::npos);
  EXPECT_NE(refused.error().message().find(lock_file()), std::string::npos) << refused.error().message();
  EXPECT_EQ(injection.count(Call::kNanosleep), 1000);
  EXPECT_TRUE(std::filesystem::exists(lock_file())) << "it is the other's";
  std::filesystem::remove(lock_file());
}

TEST_P(UnixStartTest, GoesOnWithoutALockWhereTheFileSystemHasNone) {
  for (const int error : {EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP}) {
    const Injection injection([&](Invocation& invocation) { return invocation.call == Call::kFlock ? error : 0; });
    Start only(unix_address(), mode().loops);
    expect_one_of({&only});
  }
}

TEST_P(UnixStartTest, FailsWithTheErrorOfTheCallThatFailed) {
  leave_a_dead_socket();
  const std::pair<Call, int> cases[] = {{Call::kOpen, EACCES},    {Call::kOpen, EROFS},     {Call::kOpen, EMFILE},
                                        {Call::kFlock, ENOMEM},   {Call::kFstat, EIO},      {Call::kLstat, ENOMEM},
                                        {Call::kConnect, ENOMEM}, {Call::kConnect, EACCES}, {Call::kUnlink, EROFS}};
  for (const auto& [call, error] : cases) {
    const std::string failing = call == Call::kConnect || call == Call::kUnlink ? file() : lock_file();
    const Injection injection([&, c = call, e = error](Invocation& invocation) {
      return invocation.call == c && (invocation.path == nullptr || invocation.path == failing) ? e : 0;
    });
    const Start failed(unix_address(), mode().loops);
    EXPECT_FALSE(failed.serves());
    EXPECT_EQ(failed.error().code(), std::error_code(error, std::system_category())) << failed.error().message();
    EXPECT_NE(failed.error().message().find(std::string(": ") + name_of(call)), std::string::npos)
        << failed.error().message();
    EXPECT_TRUE(std::filesystem::is_socket(file())) << "it is not known to be dead";
  }
  std::filesystem::remove(lock_file());  // where it could not be locked it could not be removed
  std::filesystem::remove(file());
}

// Between the look and the call the server that was there has come to its end.
TEST_P(UnixStartTest, APathThatIsGoneMeanwhileIsFree) {
  for (const Call call : {Call::kConnect, Call::kUnlink}) {
    leave_a_dead_socket();
    const Injection injection([&, done = false](Invocation& invocation) mutable {
      if (invocation.call == call && !std::exchange(done, true)) std::filesystem::remove(file());
      return 0;
    });
    Start only(unix_address(), mode().loops);
    expect_one_of({&only});
  }
}

// Until then nobody else may take the path over, or the number of its file.
TEST_P(UnixStartTest, FailingToListenRemovesTheFileFirst) {
  std::atomic<bool> alive{false};
  const Injection injection([&](Invocation& invocation) {
    if (invocation.call == Call::kListen) return EADDRINUSE;
    if (invocation.call == Call::kUnlink && invocation.path == file()) {
      const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const sockaddr_un address = address_of(file());
      const int result = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      alive = result != 0 && errno == EPROTOTYPE && std::filesystem::exists(lock_file());
    }
    return 0;
  });
  const Start failed(unix_address(), mode().loops);
  EXPECT_FALSE(failed.serves());
  EXPECT_TRUE(alive);
  EXPECT_EQ(entries_of(path("")), std::set<std::string>());
}

// When it cannot be known which file is its own, it is no server.
TEST_P(UnixStartTest, FailsWithoutChargeOfItsFile) {
  std::atomic<bool> bound{false};
  const Injection injection([&](Invocation& invocation) {
    if (invocation.call == Call::kBind) bound = true;
    return invocation.call == Call::kLstat && bound ? ENOMEM : 0;
  });
  const Start failed(unix_address(), mode().loops);
  EXPECT_FALSE(failed.serves());
  EXPECT_EQ(failed.error().code(), std::errc::not_enough_memory);
  EXPECT_EQ(entries_of(path("")), std::set<std::string>());
}

}  // namespace
}  // namespace evio::test
