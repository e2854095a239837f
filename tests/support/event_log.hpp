#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "evio/conn.hpp"
#include "tests/support/timing.hpp"

namespace evio::test {

/// What happened, in the order it happened: of the server as a whole and of each connection. Thread-safety: any thread.
class EventLog {
 public:
  using List = std::vector<std::string>;

  /// Of the server: serving, tick, a step of the test itself.
  void add(std::string event) { add_to(0, std::move(event)); }
  void add(const Conn& conn, std::string event) { add_to(conn.id(), std::move(event)); }

  List all() const;
  List of(const Conn& conn) const { return of(conn.id()); }
  List of(std::uint64_t id) const;
  /// The ids of the connections that something was noted of, in the order they came.
  std::vector<std::uint64_t> ids() const;
  /// How often this event was noted, of whomever.
  std::size_t count(std::string_view event) const;
  /// False when `event` was not noted n times for as long as a test is patient.
  [[nodiscard]] bool wait_for(std::string_view event, std::size_t n = 1) const;

 private:
  void add_to(std::uint64_t id, std::string event);
  std::size_t count_locked(std::string_view event) const;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  List all_;
  std::map<std::uint64_t, List> by_id_;
  std::vector<std::uint64_t> ids_;
};

}  // namespace evio::test
