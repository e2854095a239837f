#include "evio/conn.hpp"

#include <new>
#include <utility>

#include "internal/buffer/bytes_access.hpp"
#include "internal/loop/endpoint.hpp"
#include "internal/loop/timed_task.hpp"
#include "internal/server/server_access.hpp"

namespace evio {

void Conn::retain(internal::Endpoint* endpoint) noexcept { endpoint->retain(); }
void Conn::release(internal::Endpoint* endpoint) noexcept { endpoint->release(); }

int Conn::addr_index() const noexcept { return endpoint_ == nullptr ? 0 : endpoint_->addr_index(); }
Addr Conn::local_addr() const { return endpoint_ == nullptr ? Addr() : endpoint_->local(); }
Addr Conn::remote_addr() const { return endpoint_ == nullptr ? Addr() : endpoint_->remote(); }
std::uint64_t Conn::id() const noexcept { return endpoint_ == nullptr ? 0 : endpoint_->id(); }
int Conn::loop_index() const noexcept { return endpoint_ == nullptr ? 0 : endpoint_->loop_index(); }

bool Conn::dialed() const noexcept { return endpoint_ != nullptr && endpoint_->dialed(); }

bool Conn::wake() const { return endpoint_ != nullptr && endpoint_->wake(); }
bool Conn::close() const { return endpoint_ != nullptr && endpoint_->close(); }
bool Conn::send_copy(std::string_view x) const { return endpoint_ != nullptr && endpoint_->send_copy(x); }

bool Conn::send_bytes(Bytes x) const {
  // Unowned bytes are valid only during the current callback, and may be sent later than that.
  if (internal::BytesAccess::is_unowned(x)) return send_copy(x);
  return endpoint_ != nullptr && endpoint_->send(std::move(x));
}

bool Conn::send_string(std::string&& x) const {
  try {
    return send_bytes(Bytes(std::move(x)));
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Conn::abort() const { return endpoint_ != nullptr && endpoint_->abort(); }
bool Conn::pause() const { return endpoint_ != nullptr && endpoint_->pause(); }
bool Conn::resume() const { return endpoint_ != nullptr && endpoint_->resume(); }
bool Conn::close_write() const { return endpoint_ != nullptr && endpoint_->close_write(); }
bool Conn::expires_after(std::chrono::nanoseconds delay) const {
  return endpoint_ != nullptr && endpoint_->expires_after(delay);
}
std::size_t Conn::pending() const noexcept { return endpoint_ == nullptr ? 0 : endpoint_->pending_bytes(); }
int Conn::native_handle() const noexcept { return endpoint_ == nullptr ? -1 : endpoint_->native_handle(); }
const TlsInfo* Conn::tls() const noexcept { return endpoint_ == nullptr ? nullptr : endpoint_->tls(); }
Server Conn::server() const {
  return endpoint_ == nullptr ? Server() : internal::ServerAccess::handle(endpoint_->server());
}

bool Conn::post_task(std::unique_ptr<internal::ConnTask> task) const {
  return endpoint_ != nullptr && task != nullptr && endpoint_->post(std::move(task));
}
Timer Conn::post_task_after(std::chrono::nanoseconds delay, internal::TimedPtr<internal::ConnTask> task) const {
  if (endpoint_ == nullptr || task == nullptr) return {};
  return internal::TimerAccess::handle(endpoint_->post_after(delay, std::move(task)));
}

void Conn::store_context(std::unique_ptr<internal::Context> context) const {
  if (endpoint_ != nullptr) endpoint_->set_context(std::move(context));
}
void* Conn::find_context(const internal::TypeId& type) const noexcept {
  return endpoint_ == nullptr ? nullptr : endpoint_->find_context(type);
}

std::strong_ordering operator<=>(const Conn& a, const Conn& b) noexcept {
  if (const auto by_id = a.id() <=> b.id(); by_id != 0) return by_id;
  return std::compare_three_way()(static_cast<const void*>(a.endpoint_), static_cast<const void*>(b.endpoint_));
}

}  // namespace evio
