#include "internal/base/resource_limit.hpp"

#include <sys/resource.h>

namespace evio::internal {
namespace {

std::string value_of(decltype(RLIMIT_NOFILE) limit) {
  rlimit value{};
  if (::getrlimit(limit, &value) != 0) return "unknown";
  return value.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(value.rlim_cur);
}

}  // namespace

std::string limit_of_descriptors(std::error_code code) {
  if (code == std::errc::too_many_files_open)
    return " (ulimit -n, the limit of open descriptors, is " + value_of(RLIMIT_NOFILE) + ")";
  if (code == std::errc::too_many_files_open_in_system) return " (fs.file-max is the limit of all processes together)";
  if (code == std::errc::no_space_on_device)  // epoll_ctl(2)
    return " (fs.epoll.max_user_watches limits what a user's processes watch)";
  return {};
}

std::string limit_of_threads(std::error_code code) {
  if (code != std::errc::resource_unavailable_try_again) return {};
  return " (ulimit -u, the limit of the user's threads, is " + value_of(RLIMIT_NPROC) +
         "; memory, kernel.threads-max, vm.max_map_count and the cgroup's pids.max limit them too)";
}

}  // namespace evio::internal
