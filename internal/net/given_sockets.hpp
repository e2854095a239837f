#pragma once

#include <span>
#include <string>
#include <vector>

#include "evio/error.hpp"
#include "internal/base/file_descriptor.hpp"
#include "internal/net/address_spec.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// The sockets that the process was given and that its addresses name: fd:// and systemd://. They are serve()'s from
/// the call on, so those that no listener takes are closed with this.
/// Thread-safety: one thread.
class GivenSockets {
 public:
  /// Reads all addresses, of which systemd:// may become several, or none. Every socket that is named belongs to this
  /// then, also when there is an error, which is the first address's that has one.
  Error read(std::span<const std::string> addresses, std::vector<AddressSpec>& specs);
  /// The socket of an address that was read; not valid if it is not a given one's.
  FileDescriptor take(const AddressSpec& spec) noexcept;

 private:
  Error read(const std::string& address, std::vector<AddressSpec>& specs);
  Error add(AddressSpec spec, std::vector<AddressSpec>& specs);
  Error add_all(const AddressSpec& spec, std::vector<AddressSpec>& specs);

  std::vector<FileDescriptor> sockets_;
};

/// What kind of socket was given. An error says why it cannot be served.
Error inspect_given_socket(const AddressSpec& spec, int fd, Network& network);
/// Makes it non-blocking and close-on-exec, as sockets are that are made here.
Error prepare_given_socket(const AddressSpec& spec, int fd);

}  // namespace evio::internal
