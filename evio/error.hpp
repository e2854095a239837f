#pragma once

#include <string>
#include <system_error>
#include <utility>

namespace evio {

/// The result of an operation: success, which is the default, or a std::error_code and a message that names the call
/// and the address, as in "listen tcp://127.0.0.1:80: bind: Permission denied".
/// Thread-safety: a plain value.
class [[nodiscard]] Error {
 public:
  /// No error.
  Error() = default;
  /// An error with the code's own message.
  explicit Error(std::error_code code) : code_(code), message_(code ? code.message() : std::string()) {}
  /// An error with a message of its own.
  Error(std::error_code code, std::string message) : code_(code), message_(std::move(message)) {}

  /// True if this is an error.
  explicit operator bool() const noexcept { return static_cast<bool>(code_); }

  /// The reason: std::system_category() for errors of system calls (errno(3)), resolver_category() for errors of name
  /// resolution, std::generic_category() for all others.
  const std::error_code& code() const noexcept { return code_; }

  /// The message for a human reader; empty if there is no error.
  std::string message() const { return message_; }

 private:
  std::error_code code_;
  std::string message_;
};

/// The category of getaddrinfo(3)'s own errors, such as EAI_NONAME.
const std::error_category& resolver_category() noexcept;

}  // namespace evio
