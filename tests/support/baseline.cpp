#include "tests/support/baseline.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"

namespace evio::test {

Baseline::Baseline() : descriptors_(descriptors()), threads_(threads()) {}

std::map<int, Baseline::Descriptor> Baseline::descriptors() {
  std::map<int, Descriptor> found;
  for (auto& [fd, name] : open_descriptors()) {
    // By its name: to ThreadSanitizer fstat(2) would be a use of another thread's descriptor.
    struct stat info {};
    if (::stat(("/proc/self/fd/" + std::to_string(fd)).c_str(), &info) == 0)
      found[fd] = {info.st_dev, info.st_ino, std::move(name)};
  }
  return found;
}

std::string Baseline::difference() const {
  std::string text;
  for (const auto& [fd, target] : new_descriptors()) {
    text += "descriptor " + std::to_string(fd) + " is left: " + target + "\n";
  }
  const auto now = descriptors();
  for (const auto& [fd, old] : descriptors_) {
    if (!now.contains(fd)) text += "descriptor " + std::to_string(fd) + " is gone: " + old.name + "\n";
  }
  if (!eventually([&] { return new_threads().empty(); })) {
    for (const pid_t thread : new_threads()) text += "thread " + describe_thread(thread) + " is left\n";
  }
  return text;
}

std::set<pid_t> Baseline::new_threads() const {
  std::set<pid_t> found;
  for (const pid_t thread : threads()) {
    if (!threads_.contains(thread)) found.insert(thread);
  }
  return found;
}

std::map<int, std::string> Baseline::new_descriptors() const {
  std::map<int, std::string> found;
  for (auto& [fd, now] : descriptors()) {
    const auto old = descriptors_.find(fd);
    const bool same = old != descriptors_.end() && old->second.device == now.device && old->second.inode == now.inode;
    if (!same) found.emplace(fd, std::move(now.name));
  }
  return found;
}

std::set<std::string> entries_of(const std::string& folder) {
  std::set<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

}  // namespace evio::test
