#include <memory>
#include <new>
#include <utility>

#include "evio/evio.hpp"
#include "internal/server/engine.hpp"

namespace evio {

namespace {

template <class... Addrs>
Error run_engine(Events events, const Addrs&... addrs) {
  Error err;
  std::unique_ptr<internal::Engine> engine;
  try {
    engine = std::make_unique<internal::Engine>(std::move(events));
    err = engine->open(addrs...);
  } catch (const std::bad_alloc&) {
    err = Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
  }
  return err ? err : engine->run();
}

}  // namespace

Error serve(Events events, std::span<const std::string> addrs) { return run_engine(std::move(events), addrs); }
Error run(Events events) { return run_engine(std::move(events)); }

}  // namespace evio
