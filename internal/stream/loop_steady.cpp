#include "internal/stream/loop_steady.hpp"
#include "internal/base/exception_error.hpp"

namespace evio::internal {

// What is ready, listeners aside. From a Shutdown on nothing is read any more, in this turn neither.
void Loop::serve(std::span<const Ready> ready) noexcept {
  for (const Ready& r : ready) {
    if (server_.shutting_down() && !stopping_) [[unlikely]]
      return;
    auto& source = *static_cast<Source*>(r.tag);
    if (source.kind != Source::Kind::kConnection) [[unlikely]] {
      if (source.kind == Source::Kind::kDatagrams) read_datagrams(static_cast<DatagramSocket&>(source));
      continue;
    }
    auto& c = static_cast<Connection&>(source);
    Step step = first_step(c);
    if (step == Step::kRead) [[likely]] {
      try {
        step = read(c);
      } catch (...) {
        step = out_of_memory(c);
      }
    }
    if (step != Step::kWait) [[unlikely]]
      dispatch(c, step);
  }
}

void Loop::dispatch(Connection& c, Step step) noexcept {
  while (step != Step::kWait) {
    try {
      step = take(c, step);
    } catch (...) {
      step = out_of_memory(c);
    }
  }
}

Loop::Step Loop::take(Connection& c, Step step) {
  switch (step) {
    case Step::kOpen:
      return open(c);
    case Step::kRead:
      return read(c);
    case Step::kWake:
      return deliver(c, {});
    case Step::kSettle:
      return settle(c, Action::None);
    case Step::kWrite:
      return write(c);
    case Step::kAct:
      return act(c);
    case Step::kSalvage:
      return salvage(c);
    case Step::kClose:
      return close(c);
    case Step::kDetach:
      return detach(c);
    case Step::kLinger:
      return linger(c);
    case Step::kWait:
      break;
  }
  return Step::kWait;
}

// In a catch clause: no callback threw, so it was the library, for want of memory. It costs this connection.
Loop::Step Loop::out_of_memory(Connection& c) noexcept {
  out_.clear();
  input_.recycle();
  c.fail(current_exception_error());
  c.drop_pending();
  c.cut_off();
  return c.stage() == Connection::Stage::kOpen ? Step::kClose : Step::kWait;
}

}  // namespace evio::internal
