// This library as evio for Go is used, and libuv beside it: what is to be sent waits in a string behind a mutex, and
// Conn::wake has the loop fetch it.
#include <mutex>

#include "evio_target.hpp"

namespace {

struct Pending {
  std::mutex mutex;
  std::string bytes;
};

/// Thread-safety: as Target's.
class WithPending final : public notes::EvioTarget {
 public:
  WithPending(int loops, std::size_t connections)
      : EvioTarget(loops, connections,
                   [this](evio::Conn& conn, const evio::Bytes&, evio::Output& out) {
                     fetch(*conn.context<std::size_t>(), out);
                     return evio::Action::None;
                   }),
        pending_(connections) {}

  void send(std::size_t conn, std::string_view bytes) override {
    {
      const std::lock_guard lock(pending_[conn].mutex);
      pending_[conn].bytes.append(bytes);
    }
    wake(conn);
  }

 private:
  void fetch(std::size_t conn, evio::Output& out) {
    std::string bytes;
    {
      const std::lock_guard lock(pending_[conn].mutex);
      bytes.swap(pending_[conn].bytes);
    }
    if (bytes.empty()) return woken[conn].add();
    out = std::move(bytes);
  }

  std::vector<Pending> pending_;
};

}  // namespace

int main(int argc, char** argv) {
  return notes::run(
      argc, argv, [](int loops, std::size_t connections) { return std::make_unique<WithPending>(loops, connections); });
}
