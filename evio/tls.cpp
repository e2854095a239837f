#include "evio/tls.hpp"

#include <new>
#include <system_error>

#include "internal/stream/tls_session.hpp"
#include "internal/tls/openssl_context.hpp"

namespace evio {

TlsContext TlsContext::load(const TlsFiles& files, Error& err, const TlsContext& previous) {
  try {
    return TlsContext(internal::OpensslContext::load(files, err, previous.state_.get()));
  } catch (const std::bad_alloc&) {
    err = Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
    return TlsContext();
  }
}

void* TlsContext::native() const { return state_ ? state_->native() : nullptr; }

}  // namespace evio
