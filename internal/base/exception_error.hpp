#pragma once

#include "evio/error.hpp"

namespace evio::internal {

/// The exception being handled as an Error: its message is what() said, its code the std::system_error's own or
/// errc::operation_canceled.
Error current_exception_error() noexcept;

}  // namespace evio::internal
