#pragma once

#include <string>

#include "evio/error.hpp"
#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// What a PEM file has in it (RFC 7468). Thread-safety: a value.
class PemFile {
 public:
  /// `what` the user calls the file: "certificate", "key" or "ca".
  PemFile(std::string what, std::string path) : what_(std::move(what)), path_(std::move(path)) {}
  ~PemFile();  // leaves no key in memory
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;

  Error read();
  /// All the certificates in it, one at least.
  Error certificates(OpensslPtr<STACK_OF(X509)>& to) const;
  /// The key in it. One that takes a pass phrase is an Error.
  Error key(OpensslPtr<EVP_PKEY>& to) const;

  /// "certificate /x/y.pem".
  std::string name() const { return what_ + ' ' + path_; }

 private:
  Error failure(std::errc code, const std::string& words) const;
  OpensslPtr<BIO> text() const;

  std::string what_, path_, text_;
};

}  // namespace evio::internal
