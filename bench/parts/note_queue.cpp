#include "internal/loop/note_queue.hpp"
#include "internal/loop/endpoint.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <memory>

#include "evio/detail/ref_counted.hpp"
#include "internal/poll/poller.hpp"

namespace {

using evio::internal::Endpoint;
using evio::internal::Interest;
using evio::internal::Note;
using evio::internal::NoteQueue;
using evio::internal::Pollable;
using evio::internal::Ready;
using evio::internal::RefPtr;

// A loop that is never asleep: what waking it costs is the kernel's.
class WideAwake final : public evio::internal::Poller {
 public:
  std::error_code add(int, Interest, Pollable&) override { return {}; }
  std::error_code modify(int, Interest, Pollable&) override { return {}; }
  void remove(int) override {}
  Ready wait(std::chrono::nanoseconds) override { return {}; }
  bool wake() noexcept override { return true; }
};

class Nobody final : public Endpoint {
 public:
  explicit Nobody(RefPtr<NoteQueue> queue) : Endpoint(0, std::move(queue), 0) {}
  bool wake() override { return false; }
  bool send(evio::Bytes) override { return false; }
  bool send_copy(std::string_view) override { return false; }
  evio::Addr local() const override { return {}; }
  evio::Addr remote() const override { return {}; }
  bool close() override { return false; }
  void set_context(std::unique_ptr<evio::internal::Context>) override {}
  void on_request() noexcept override {}
  void on_continue() noexcept override {}
  void on_flush() noexcept override {}
  void on_adopt(RefPtr<evio::internal::NoteTarget>) noexcept override {}
};

struct Shared {
  WideAwake poller;
  RefPtr<NoteQueue> queue{new NoteQueue(0, poller)};
  RefPtr<evio::internal::NoteTarget> endpoint{new Nobody(queue)};
};

std::size_t drain(NoteQueue& queue) {
  static thread_local std::array<Note, 64> notes;
  std::size_t sum = 0;
  while (const std::size_t count = queue.pop_bulk(notes)) {
    for (Note& note : std::span(notes).first(count)) note = {};
    sum += count;
  }
  return sum;
}

/// A batch of notes in and out again, on one thread.
void post_and_take(benchmark::State& state) {
  Shared shared;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      shared.queue->post({Note::Kind::kRequest, shared.endpoint});
    }
    benchmark::DoNotOptimize(drain(*shared.queue));
    shared.queue->prepare_wait();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(post_and_take)->Arg(1)->Arg(16)->Arg(256);

/// Thread 0 takes what the others post.
void post_from_threads(benchmark::State& state) {
  static std::unique_ptr<Shared> shared;
  static std::atomic<std::int64_t> under_way{0};
  constexpr std::int64_t kMost = 10'000;  // that producers are ahead of the loop
  if (state.thread_index() == 0) shared = std::make_unique<Shared>();
  std::int64_t posted = 0;
  for (auto _ : state) {
    if (state.thread_index() == 0) {
      under_way.fetch_sub(static_cast<std::int64_t>(drain(*shared->queue)), std::memory_order_relaxed);
      shared->queue->prepare_wait();
    } else if (under_way.load(std::memory_order_relaxed) < kMost) {
      shared->queue->post({Note::Kind::kRequest, shared->endpoint});
      under_way.fetch_add(1, std::memory_order_relaxed);
      ++posted;
    }
  }
  state.counters["notes"] = benchmark::Counter(static_cast<double>(posted), benchmark::Counter::kIsRate);
}
BENCHMARK(post_from_threads)->Threads(2)->Threads(3)->Threads(5)->UseRealTime();

}  // namespace
