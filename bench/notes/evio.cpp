// This library: Conn::wake and Conn::send.
#include "evio_target.hpp"

namespace {

/// Thread-safety: as Target's.
class Plain final : public notes::EvioTarget {
 public:
  Plain(int loops, std::size_t connections)
      : EvioTarget(loops, connections, [this](evio::Conn& conn, const evio::Bytes&, evio::Output&) {
          woken[*conn.context<std::size_t>()].add();
          return evio::Action::None;
        }) {}
};

}  // namespace

int main(int argc, char** argv) {
  return notes::run(argc, argv,
                    [](int loops, std::size_t connections) { return std::make_unique<Plain>(loops, connections); });
}
