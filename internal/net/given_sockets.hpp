#pragma once

#include <span>
#include <string>
#include <vector>

#include "evio/error.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// The given sockets that the addresses name: fd:// and systemd://. serve() owns them from the call on, so the
/// destructor closes those that no listener has taken.
/// Thread-safety: one thread.
class GivenSockets {
 public:
  /// Reads all addresses; systemd:// may become several, or none. Takes ownership of every socket that is named, even
  /// on error. Returns the first error.
  Error read(std::span<const std::string> addresses, std::vector<AddressSpec>& specs);
  /// The socket of an address that was read; invalid unless the address names a given one.
  FileDescriptor take(const AddressSpec& spec) noexcept;

 private:
  Error read_or_run_out(const std::string& address, std::vector<AddressSpec>& specs);
  Error read(const std::string& address, std::vector<AddressSpec>& specs);
  Error add(AddressSpec spec, std::vector<AddressSpec>& specs);
  Error add_all(const AddressSpec& spec, std::vector<AddressSpec>& specs);

  std::vector<FileDescriptor> sockets_;
};

/// What kind of socket was given. An error says why it cannot be served.
Error inspect_given_socket(const AddressSpec& spec, int fd, Network& network);
/// Makes it non-blocking and close-on-exec, like the sockets that are made here.
Error prepare_given_socket(const AddressSpec& spec, int fd);

}  // namespace evio::internal
