#pragma once

#include <string>
#include <system_error>
#include <utility>

namespace evio {

/// What went wrong: a std::error_code and the sentence that names the call and the address, as in
/// "listen tcp://127.0.0.1:80: bind: Permission denied". Default constructed it is no error.
/// Thread-safety: a plain value.
class Error {
 public:
  Error() = default;
  /// An error whose sentence is the code's own.
  explicit Error(std::error_code code) : code_(code), message_(code ? code.message() : std::string()) {}
  Error(std::error_code code, std::string message) : code_(code), message_(std::move(message)) {}

  /// True when this is an error.
  explicit operator bool() const noexcept { return static_cast<bool>(code_); }

  /// The reason: std::system_category() for what a system call said (errno(3)), resolver_category() for what
  /// name resolution said, std::generic_category() for the rest.
  const std::error_code& code() const noexcept { return code_; }

  /// A sentence for a person; empty when there is no error.
  std::string message() const { return message_; }

 private:
  std::error_code code_;
  std::string message_;
};

/// The category of getaddrinfo(3)'s own errors (EAI_NONAME and its kin).
const std::error_category& resolver_category() noexcept;

}  // namespace evio
