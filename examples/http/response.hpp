#pragma once

#include <evio/evio.hpp>
#include <string_view>

namespace http {

/// The content of a response: its own fields, each ending in CRLF, and a body, which an answer to HEAD only announces.
struct Content {
  std::string_view head;
  std::string_view body;
  bool announce_only = false;
};

/// Appends a response; `status` is the code and its text, as in "200 OK". May be called on any loop.
void append_response(evio::Output& out, std::string_view status, const Content& content);

}  // namespace http
