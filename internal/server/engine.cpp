#include "internal/server/engine.hpp"

#include <sched.h>

#include <algorithm>
#include <system_error>

#include "internal/base/resource_limit.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/given_sockets.hpp"
#include "internal/server/callback_watch.hpp"
#include "internal/server/server_access.hpp"
#include "internal/server/worker_threads.hpp"

namespace evio::internal {
namespace {

int usable_cpus() {
  // The mask is as long as the kernel's, which sched_getaffinity(2) only tells by refusing a shorter one.
  for (std::size_t cpus = 1024; cpus <= 1024 * 1024; cpus *= 2) {
    std::vector<cpu_set_t> mask(CPU_ALLOC_SIZE(cpus) / sizeof(cpu_set_t) + 1);
    const std::size_t size = mask.size() * sizeof(cpu_set_t);
    if (::sched_getaffinity(0, size, mask.data()) == 0) return CPU_COUNT_S(size, mask.data());
    if (errno != EINVAL) break;
  }
  return 1;
}

int count_loops(int asked) {
  if (asked < 0) return std::max(1, usable_cpus());
  return std::max(1, asked);
}

std::string joined(std::span<const std::string> addrs) {
  std::string text;
  for (const std::string& addr : addrs) text += (text.empty() ? "" : ", ") + addr;
  return text;
}

}  // namespace

Engine::Engine(Events events)
    : events_(std::move(events)),
      num_loops_(count_loops(events_.num_loops)),
      server_(std::make_shared<ServerState>(events_, num_loops_)),
      listeners_(num_loops_) {
  // An empty function must not be called, and a check for each message would cost every message.
  if (!events_.data) events_.data = [](Conn&, const Bytes&, Output&) { return Action::None; };
  watch_callbacks(events_, *server_);
}

// Where no loop ran, nobody has ended the listening.
Engine::~Engine() {
  server_->end();
  listeners_.refuse_newcomers(server_->copies());
}

Error Engine::open() {
  given_ = "run";
  return make_workers(false);
}

Error Engine::open(std::span<const std::string> addrs) {
  if (addrs.empty()) return Error(std::make_error_code(std::errc::invalid_argument), "serve: no address was given");
  bool portable = false;
  if (auto err = open_listeners(addrs, portable)) return err;
  given_ = "serve " + joined(addrs);
  return make_workers(portable);
}

Error Engine::open_listeners(std::span<const std::string> addrs, bool& portable) {
  GivenSockets given;
  std::vector<AddressSpec> specs;
  if (auto err = given.read(addrs, specs)) return err;
  for (const AddressSpec& spec : specs) {
    if (spec.tls && !events_.tls)
      return address_error(spec, std::make_error_code(std::errc::invalid_argument), "Events::tls is not set");
  }
  portable = std::ranges::any_of(specs, &AddressSpec::portable);
  if (auto err = listeners_.open(specs, given)) return err;
  publish_listeners();
  return {};
}

void Engine::publish_listeners() {
  for (Listener& listener : listeners_.all()) {
    server_->addrs.push_back(listener.addr());
    for (const Listener::Socket& socket : listener.sockets()) server_->copies().add(socket.fd.get());
  }
}

Error Engine::loop_error(int index, std::error_code code, const std::string& what) const {
  return Error(code, given_ + ": loop " + std::to_string(index) + " of " + std::to_string(num_loops_) + ": " + what);
}

Error Engine::cannot_start(int index, std::error_code code) const try {
  return loop_error(index, code, "cannot start its thread: " + code.message() + limit_of_threads(code));
} catch (const std::bad_alloc&) {
  return Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
}

Error Engine::make_workers(bool portable) {
  for (int i = 0; i != num_loops_; ++i) {
    Error err;
    auto poller = portable ? make_portable_poller(err) : make_epoll_poller(err);
    if (err) {
      const std::string limit = limit_of_descriptors(err.code());
      return loop_error(i, err.code(),
                        err.message() + limit + (limit.empty() ? "" : "; a loop is a thread and two descriptors"));
    }
    const auto& worker =
        workers_.emplace_back(std::make_unique<Worker>(i, std::move(poller), events_, *server_, listeners_));
    worker->loop().queue()->set_server(server_);
    server_->queues.push_back(worker->loop().queue());
    server_->tasks.push_back(&worker->tasks());
    server_->hosts.push_back(&worker->streams());
    server_->dialers.push_back(&worker->dialer());
    if (auto problem = assign_listeners(*worker)) return problem;
  }
  return {};
}

// Gives a worker its share of the sockets.
Error Engine::assign_listeners(Worker& worker) {
  for (std::size_t i = 0; i != listeners_.all().size(); ++i) {
    Listener& listener = listeners_.all()[i];
    for (Listener::Socket& socket : listener.sockets()) {
      if (const auto err = assign(worker, listener, socket, static_cast<int>(i)))
        return loop_error(worker.loop().index(), err,
                          "watch " + listener.addr().network() + ' ' + socket.addr.to_string() + ": " + err.message() +
                              limit_of_descriptors(err));
    }
  }
  return {};
}

std::error_code Engine::assign(Worker& worker, Listener& listener, Listener::Socket& socket, int addr_index) {
  const int index = worker.loop().index();
  const bool is_shared = socket.loop == Listener::kEveryLoop;
  if (listener.network() == Network::kUdp) {
    // Without reuseport a datagram socket belongs to one loop: on several its datagrams would overtake each other.
    const int owner = is_shared ? addr_index % num_loops_ : socket.loop;
    return owner == index ? worker.receive(std::move(socket.fd), addr_index, socket.addr) : std::error_code();
  }
  if (!is_shared && socket.loop != index) return {};
  return worker.listen(listener, socket, addr_index, workers_);
}

// False when no loop is to run.
bool Engine::serving() {
  server_->begin_serving();
  if (events_.serving && events_.serving(ServerAccess::handle(server_)) == Action::Shutdown) return false;
  return !server_->ended_in_serving();
}

// Every thread there will be is there before `serving` is called: what cannot start says so before anybody is told that
// the server runs.
Error Engine::run() {
  WorkerThreads threads;
  int starting = 1;
  try {
    for (; starting < num_loops_; ++starting) threads.add(*workers_[static_cast<std::size_t>(starting)]);
  } catch (const std::system_error& e) {
    return cannot_start(starting, e.code());
  } catch (const std::bad_alloc&) {
    return cannot_start(starting, std::make_error_code(std::errc::not_enough_memory));
  }
  if (serving()) {
    threads.go();
    workers_.front()->run();
    threads.join();
  } else {
    server_->end();
    for (const auto& worker : workers_) worker->end_unrun();
  }
  server_->rethrow();
  return {};
}

}  // namespace evio::internal
