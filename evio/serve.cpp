#include "evio/evio.hpp"
#include "internal/engine.hpp"

namespace evio {

Error serve(Events events, std::span<const std::string> addrs) {
  internal::Engine engine(std::move(events));
  if (auto err = engine.open(addrs)) return err;
  return engine.run();
}

}  // namespace evio
