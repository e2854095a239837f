/// How much output of a connection waits, and how each side of its stream ends.
#include <utility>

#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

// What follows from how much is pending, once the loop has tried to write it. `congested` and `drained` alternate.
Stream::Step Stream::flow_step() {
  const bool congested = (state_.output & kCongested) != 0;
  if ((!congested && !has_pending()) || is_closing() || !host_.watches_flow()) return Step::kWait;
  const bool tried = std::exchange(extras_->tried, false);
  const std::size_t pending = pending_bytes_.now();
  if (congested) return pending <= extras_->low_water ? Step::kDrained : Step::kWait;
  if (pending <= extras_->high_water) return Step::kWait;
  return tried ? Step::kCongested : Step::kTry;
}

// Some of what is pending was added without trying to write it, for the socket was full before.
Stream::Step Stream::try_to_write() {
  bool progressed = false;
  const Step failed = write_pending(progressed);
  return failed == Step::kWait ? next_step() : failed;
}

Stream::Step Stream::congested() {
  state_.output |= kCongested;
  return call([&] { return host_.events_.congested ? host_.events_.congested(handle()) : Action::None; });
}

Stream::Step Stream::drained() {
  state_.output &= static_cast<std::uint8_t>(~kCongested);
  return call([&] { return host_.events_.drained ? host_.events_.drained(handle(), host_.out_) : Action::None; });
}

Stream::Step Stream::ended() {
  Step next = Step::kWait;
  if (host_.events_.ended) next = call([&] { return host_.events_.ended(handle(), host_.out_); });
  return next == Step::kWait ? next_step_slow() : next;  // it is not watched for input any more
}

// close_write(): what was added before is written, or pending.
void Stream::end_output() noexcept { state_.output |= kEnding; }

void Stream::end_output_now() noexcept {
  if (output_over_) return;
  output_over_ = !end_stream() || !has_unsent();
}

}  // namespace evio::internal
