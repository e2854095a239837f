#pragma once

#include <sys/types.h>

#include <string>

#include "evio/error.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/net/address_spec.hpp"

namespace evio::internal {

/// Where the socket's file will be, whatever the working directory becomes: `spec.path` made absolute. Empty for an
/// abstract name, which has no file and needs none of what is here: one socket at a time can be bound to it.
Error locate(const AddressSpec& spec, std::string& path);

/// The right to start on a path. One server at a time has it, from before it looks at the path until it listens:
/// otherwise two could both find a dead socket there, and the second remove the first's. It is a lock (flock(2)) on a
/// file beside the path, which is removed at the end. Where the file system has no such locks, servers start without.
/// Thread-safety: one thread.
class StartLock {
 public:
  StartLock() = default;
  StartLock(const StartLock&) = delete;
  StartLock& operator=(const StartLock&) = delete;
  ~StartLock();

  /// Waits for others that start there, for about ten seconds.
  Error acquire(const AddressSpec& spec, const std::string& path);

 private:
  Error look_at(const AddressSpec& spec, std::string& file, bool& current);
  Error move_above_standard(const AddressSpec& spec);

  std::string file_;  // empty: nothing to remove
  FileDescriptor fd_;
};

/// Before a path is bound: removes from it a socket that no process has any more. Anything else there is an Error. A
/// live server there notices nothing.
Error clear_path(const AddressSpec& spec, const std::string& path);

/// The file of a unix socket that this process has bound: removed when it goes, unless another file has taken its
/// place. The socket outlives it: as long as that is open no other file can get the inode number it is known by.
/// Thread-safety: one thread.
class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile();

  /// Takes charge of the socket file that has just been bound. When that fails it is removed.
  Error take_charge(const AddressSpec& spec, std::string path);
  /// Gives it the mode that the address asks for, if it does.
  Error set_mode(const AddressSpec& spec) const;
  /// Leaves the file in place: others have the socket too.
  void keep() noexcept { path_.clear(); }

 private:
  std::string path_;  // empty: nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace evio::internal
