#pragma once

#include <string>
#include <system_error>

namespace evio::internal {

/// Which of the system's limits a call that makes a descriptor or watches one has met, and its value, to end a message
/// with: " (ulimit -n, the limit of open descriptors, is 1024)". Empty when the error names none.
std::string limit_of_descriptors(std::error_code code);
/// The same for a thread that could not be started.
std::string limit_of_threads(std::error_code code);

}  // namespace evio::internal
