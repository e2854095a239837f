#pragma once

#include <sys/ioctl.h>

#include <cstddef>
#include <string>
#include <utility>

#include "tests/unit/stream/stream_fixture.hpp"

namespace evio::internal {

/// A stream whose options and first output are the test's, and which notes what it is told of its flow.
/// Thread-safety: one thread.
class StreamFlowTest : public StreamTest {
 protected:
  StreamFlowTest() {
    events_.opened = [this](Conn&, Output& out, Options& options) {
      options = options_;
      out = std::move(welcome_);
      return Action::None;
    };
    events_.congested = [this](Conn&) {
      log_.emplace_back("congested");
      return Action::None;
    };
    events_.drained = [this](Conn&, Output&) {
      log_.emplace_back("drained");
      return Action::None;
    };
    events_.ended = [this](Conn&, Output&) {
      log_.emplace_back("ended");
      return Action::None;
    };
  }

  // How much has come to the far end and was not read there.
  std::size_t waits_there() const {
    int bytes = 0;
    EXPECT_EQ(::ioctl(far_.get(), FIONREAD, &bytes), 0);
    return static_cast<std::size_t>(bytes);
  }
  // The far end reads so much, at most.
  void hear_some(std::size_t size) {
    std::string room(size, '\0');
    const ssize_t n = ::recv(far_.get(), room.data(), size, MSG_DONTWAIT);
    if (n > 0) received_.append(room, 0, static_cast<std::size_t>(n));
  }
  // All of what it was sent and the kernel has not taken, as the far end knows it.
  std::size_t left_of(std::size_t sent) const { return sent - received_.size() - waits_there(); }
  void end_far() { ::shutdown(far_.get(), SHUT_WR); }

  Options options_;
  std::string welcome_;
};

}  // namespace evio::internal
