#pragma once

#include <functional>

#include "options.hpp"
#include "report.hpp"

namespace load {

/// Runs `work(thread, window, result)` on options.threads threads and returns what all of them measured in the window,
/// with the server's CPU time between its ends, as a printed line.
int measure(const Options& options, const std::function<void(int, const Window&, Result&)>& work);

}  // namespace load
