#include "internal/tls/pem_file.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <cstddef>
#include <system_error>

#include "internal/base/file_descriptor.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/tls/openssl_error.hpp"

namespace evio::internal {

namespace {

// Of all the authorities that Debian knows the file has 200 KiB. A path that is no file, as /dev/zero, has no end.
constexpr std::size_t kMostBytes = 16 * 1024 * 1024;

// Without it, OpenSSL would ask at the terminal.
int refuse_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

bool at_end(const OpensslError& error) {
  return ERR_GET_LIB(error.code) == ERR_LIB_PEM && ERR_GET_REASON(error.code) == PEM_R_NO_START_LINE;
}

}  // namespace

PemFile::~PemFile() { OPENSSL_cleanse(text_.data(), text_.size()); }

Error PemFile::failure(std::errc code, const std::string& words) const {
  return Error(std::make_error_code(code), name() + words);
}

Error PemFile::read() {
  const FileDescriptor file(sys::open(path_.c_str(), O_RDONLY | O_CLOEXEC, 0));
  const auto fails = [&] { return Error(sys::last_error(), name() + ": " + sys::last_error().message()); };
  if (file.get() < 0) return fails();
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t n = sys::read(file.get(), part.data(), part.size());
    if (n < 0) return fails();
    if (n == 0) break;
    if (text_.size() > kMostBytes) return failure(std::errc::file_too_large, ": is too large for a PEM file");
    // A text that grows leaves its former self in memory: it is cleared first.
    if (text_.capacity() - text_.size() < static_cast<std::size_t>(n)) {
      std::string larger;
      larger.reserve(2 * text_.size() + part.size());
      larger = text_;
      OPENSSL_cleanse(text_.data(), text_.size());
      text_.swap(larger);
    }
    text_.append(part.data(), static_cast<std::size_t>(n));
  }
  OPENSSL_cleanse(part.data(), part.size());
  return Error();
}

OpensslPtr<BIO> PemFile::text() const {
  ERR_clear_error();
  return OpensslPtr<BIO>(or_bad_alloc(BIO_new_mem_buf(text_.data(), static_cast<int>(text_.size()))));
}

Error PemFile::certificates(OpensslPtr<STACK_OF(X509)>& to) const {
  const auto bio = text();
  to.reset(or_bad_alloc(sk_X509_new_null()));
  // _AUX: "TRUSTED CERTIFICATE" too, as `openssl x509 -trustout` writes it.
  while (X509* certificate = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)) {
    if (sk_X509_push(to.get(), certificate) > 0) continue;
    X509_free(certificate);
    throw std::bad_alloc();
  }
  const OpensslError error = OpensslError::take();
  if (!at_end(error)) return error.as_error(std::errc::invalid_argument, name() + ": ");
  if (sk_X509_num(to.get()) == 0) return failure(std::errc::invalid_argument, ": has no certificate");
  return Error();
}

Error PemFile::key(OpensslPtr<EVP_PKEY>& to) const {
  const auto bio = text();
  bool asked = false;
  to.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_pass_phrase, &asked));
  const OpensslError error = OpensslError::take();
  if (to) return Error();
  if (asked) return failure(std::errc::invalid_argument, ": the key is protected by a pass phrase");
  if (text_.find("PRIVATE KEY-----") == std::string::npos && !error.no_memory)
    return failure(std::errc::invalid_argument, ": has no private key");
  return error.as_error(std::errc::invalid_argument, name() + ": the key cannot be read: ");
}

}  // namespace evio::internal
