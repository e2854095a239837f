#include "examples/http/request.hpp"

#include <charconv>
#include <cstddef>

#include "examples/http/text.hpp"

namespace http {

namespace {

void join_chunks(std::string_view chunks, std::string& body) {
  for (;;) {
    const std::string_view line = cut(chunks, "\r\n");
    std::size_t size = 0;
    std::from_chars(line.data(), line.data() + line.size(), size, 16);
    if (size == 0) return;
    body += chunks.substr(0, size);
    chunks.remove_prefix(std::min(size + 2, chunks.size()));
  }
}

}  // namespace

std::string_view Request::field(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    std::string_view value = cut(rest, "\r\n");
    if (same_ignoring_case(cut(value, ":"), name)) return trim(value);
  }
  return {};
}

Request parse(std::string_view whole, std::string& storage) {
  Request request;
  while (whole.starts_with("\r\n")) whole.remove_prefix(2);
  request.method = cut(whole, " ");
  request.query = cut(whole, " ");
  request.path = cut(request.query, "?");
  if (request.path.front() != '/' && request.path != "*") {  // a whole URI (RFC 9112, 3.2.2)
    cut(request.path, "://");
    request.authority = request.path.substr(0, request.path.find('/'));
    request.path.remove_prefix(request.authority.size());
    if (request.path.empty()) request.path = "/";
  }
  request.proto = cut(whole, "\r\n");
  const std::size_t head = whole.starts_with("\r\n") ? 0 : whole.find("\r\n\r\n") + 2;
  request.head = whole.substr(0, head);
  request.body = whole.substr(head + 2);
  if (!request.field("transfer-encoding").empty()) {
    storage.clear();
    join_chunks(request.body, storage);
    request.body = storage;
  }
  return request;
}

}  // namespace http
