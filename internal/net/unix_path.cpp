#include "internal/net/unix_path.hpp"

#include <filesystem>
#include <utility>

#include "internal/base/syscalls.hpp"

namespace evio::internal {
namespace {

// How often another's lock is tried, and the pause in between: ten seconds in all.
constexpr int kLooks = 1000;
constexpr timespec kPause{0, 10'000'000};

Error in_use(const AddressSpec& spec, std::string_view what) {
  return address_error(spec, std::make_error_code(std::errc::address_in_use), what);
}

enum class Locked { kYes, kByAnother, kUnsupported, kFailed };

Locked try_lock(int fd) {
  if (sys::flock(fd, LOCK_EX | LOCK_NB) == 0) return Locked::kYes;
  switch (errno) {
    case EWOULDBLOCK:
      return Locked::kByAnother;
    case EINVAL:
    case ENOLCK:
    case ENOSYS:
    case EOPNOTSUPP:
      return Locked::kUnsupported;
    default:
      return Locked::kFailed;
  }
}

}  // namespace

Error locate(const AddressSpec& spec, std::string& path) {
  path.clear();
  if (spec.path.starts_with('@')) return {};
  if (!spec.path.starts_with('/')) {
    std::error_code err;
    path = std::filesystem::current_path(err).string() + '/';
    if (err) return call_error(spec, err, "getcwd");
  }
  path += spec.path;
  return {};
}

// Removed while it is locked: a process that waits for the lock finds the file gone, or replaced, and opens it again.
StartLock::~StartLock() {
  if (!file_.empty()) sys::unlink(file_.c_str());
}

Error StartLock::acquire(const AddressSpec& spec, const std::string& path) {
  std::string file = path + ".lock";
  for (int left = kLooks; left != 0; --left) {
    // Non-blocking, for the sake of a pipe there.
    fd_ = FileDescriptor(sys::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!fd_.valid()) return call_error(spec, sys::last_error(), "open " + file);
    const Locked locked = try_lock(fd_.get());
    if (locked == Locked::kFailed) return call_error(spec, sys::last_error(), "flock " + file);
    if (locked == Locked::kByAnother) {
      fd_.close();
      sys::nanosleep(kPause);
      continue;
    }
    bool current = false;
    if (auto err = look_at(spec, file, current)) return err;
    if (current) return move_above_standard(spec);
  }
  return in_use(spec, "another process is starting on this path: it has locked " + file);
}

// Sets `current` and takes charge of the file if what is locked is what is there: its previous owner may just have
// removed it.
Error StartLock::look_at(const AddressSpec& spec, std::string& file, bool& current) {
  struct stat locked {};
  if (sys::fstat(fd_.get(), &locked) != 0) return call_error(spec, sys::last_error(), "fstat " + file);
  if (!S_ISREG(locked.st_mode)) return in_use(spec, file + " exists and is not a lock file");
  struct stat there {};
  const bool found = sys::lstat(file.c_str(), &there) == 0;
  if (!found && errno != ENOENT) return call_error(spec, sys::last_error(), "lstat " + file);
  current = found && locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
  if (current && locked.st_size == 0) file_ = std::move(file);  // a file with content is not ours
  return {};
}

// Only now: an error must leave no file, and only the holder of the lock may remove it.
Error StartLock::move_above_standard(const AddressSpec& spec) {
  if (fd_.get() > STDERR_FILENO) return {};
  FileDescriptor moved(sys::fcntl(fd_.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved.valid()) return call_error(spec, sys::last_error(), "open " + file_);
  fd_ = std::move(moved);
  return {};
}

// The probe is a datagram socket. The kernel never connects it to a socket of another type, which notices nothing, and
// the error tells one that a process still has, listening or not, from one that nobody has (unix_find_other()).
Error clear_path(const AddressSpec& spec, const std::string& path) {
  struct stat info {};
  if (sys::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Error() : call_error(spec, sys::last_error(), "lstat");
  if (!S_ISSOCK(info.st_mode)) return in_use(spec, "the path exists and is not a socket");
  const FileDescriptor probe(sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return call_error(spec, sys::last_error(), "socket");
  const SocketAddress address = SocketAddress::unix_path(spec.path);
  const int answer = sys::connect(probe.get(), &address.any, address.size) == 0 ? 0 : errno;
  switch (answer) {
    case ECONNREFUSED:
      if (sys::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
      return call_error(spec, sys::last_error(), "unlink");
    case ENOENT:  // its server has just ended
      return {};
    case 0:
    case EPERM:  // also a datagram socket: one that is connected to another peer
    case EPROTOTYPE:
      return in_use(spec, "the socket is in use");
    default:
      return call_error(spec, {answer, std::system_category()}, "connect");
  }
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

SocketFile::~SocketFile() {
  struct stat info {};
  if (path_.empty() || sys::lstat(path_.c_str(), &info) != 0) return;
  if (info.st_dev == device_ && info.st_ino == inode_) sys::unlink(path_.c_str());
}

Error SocketFile::take_charge(const AddressSpec& spec, std::string path) {
  struct stat info {};
  if (sys::lstat(path.c_str(), &info) != 0) {
    const auto code = sys::last_error();
    sys::unlink(path.c_str());
    return call_error(spec, code, "lstat");
  }
  path_ = std::move(path);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  return {};
}

// bind(2) has applied the umask, which belongs to the whole process and so cannot be changed while other threads run.
Error SocketFile::set_mode(const AddressSpec& spec) const {
  if (spec.mode < 0 || sys::chmod_no_follow(path_.c_str(), static_cast<mode_t>(spec.mode)) == 0) return {};
  return call_error(spec, sys::last_error(), "chmod");
}

}  // namespace evio::internal
