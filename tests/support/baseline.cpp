#include "tests/support/baseline.hpp"

#include <filesystem>

#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"

namespace evio::test {

Baseline::Baseline() : descriptors_(open_descriptors()), threads_(threads()) {}

std::string Baseline::difference() const {
  std::string text;
  for (const auto& [fd, target] : new_descriptors()) {
    text += "descriptor " + std::to_string(fd) + " is left: " + target + "\n";
  }
  const auto now = open_descriptors();
  for (const auto& [fd, target] : descriptors_) {
    if (!now.contains(fd)) text += "descriptor " + std::to_string(fd) + " is gone: " + target + "\n";
  }
  if (!eventually([&] { return new_threads().empty(); }, kPatience / 5)) {
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
  for (const auto& [fd, target] : open_descriptors()) {
    const auto old = descriptors_.find(fd);
    if (old == descriptors_.end() || old->second != target) found.emplace(fd, target);
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
