#include "internal/tls/openssl_error.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <system_error>

namespace evio::internal {

OpensslError OpensslError::take() noexcept {
  OpensslError taken;
  while (const unsigned long code = ERR_get_error()) {
    taken.no_memory |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    // The first one is the cause, those after it are what it led to. But libssl alone speaks of the connection.
    const bool says_more = ERR_GET_LIB(taken.code) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL;
    if (taken.code == 0 || says_more) taken.code = code;
  }
  return taken;
}

std::string OpensslError::words() const {
  if (no_memory) return "no memory";
  if (code == 0) return "OpenSSL gives no reason";
  if (ERR_SYSTEM_ERROR(code)) return std::system_category().message(ERR_GET_REASON(code));
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  return "OpenSSL's error " + std::to_string(code);
}

int OpensslError::ssl_reason() const noexcept { return ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0; }

std::string OpensslError::alert() const {
  const int number = ssl_reason() - SSL_AD_REASON_OFFSET;
  if (number < 0 || number > 255) return {};
  // "tlsv1 alert unknown ca", "tlsv1 unrecognized name": the version is that of the alert's invention.
  // SSL_alert_desc_string_long(3) does not know those of TLS 1.3.
  const std::string reason = words();
  if (const std::size_t at = reason.find("alert "); at != std::string::npos) return reason.substr(at + 6);
  const bool has_version = reason.starts_with("tlsv1") || reason.starts_with("sslv3");
  return has_version ? reason.substr(reason.find(' ') + 1) : "alert " + std::to_string(number);
}

Error OpensslError::as_error(std::errc otherwise, const std::string& message) const {
  return Error(std::make_error_code(no_memory ? std::errc::not_enough_memory : otherwise), message + words());
}

void clear_openssl_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace evio::internal
