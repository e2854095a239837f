#include <memory>
#include <new>
#include <utility>

#include "evio/evio.hpp"
#include "internal/server/engine.hpp"

namespace evio {

namespace {

std::unique_ptr<internal::Engine> open(Events events, std::span<const std::string> addrs, Error& err) {
  try {
    auto engine = std::make_unique<internal::Engine>(std::move(events));
    err = engine->open(addrs);
    return engine;
  } catch (const std::bad_alloc&) {
    err = Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
    return nullptr;
  }
}

}  // namespace

Error serve(Events events, std::span<const std::string> addrs) {
  Error err;
  const auto engine = open(std::move(events), addrs, err);
  return err ? err : engine->run();
}

}  // namespace evio
