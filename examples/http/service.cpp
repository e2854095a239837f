#include "examples/http/service.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include "examples/http/framer.hpp"
#include "examples/http/request.hpp"
#include "examples/http/response.hpp"

namespace http {

namespace {

constexpr std::string_view kClose = "Connection: close\r\n";

// The state of one connection: the part of its next request that has arrived, and how far it has been examined.
struct Session {
  evio::InputStream input;
  Framer framer;
};

struct Refusal {
  std::string_view status, why;
};

Refusal refusal_for(Status status) {
  switch (status) {
    case Status::kTooLarge:
      return {"413 Content Too Large", "content too large\n"};
    case Status::kUriTooLong:
      return {"414 URI Too Long", "uri too long\n"};
    case Status::kHeadTooLarge:
      return {"431 Request Header Fields Too Large", "request header fields too large\n"};
    case Status::kNotImplemented:
      return {"501 Not Implemented", "not implemented\n"};
    case Status::kVersionNotSupported:
      return {"505 HTTP Version Not Supported", "http version not supported\n"};
    default:
      return {"400 Bad Request", "malformed request\n"};
  }
}

class Service {
 public:
  explicit Service(const Options& options)
      : body_(options.aaaa ? std::string(1024, 'a') : "Hello World!\r\n"), noparse_(options.noparse) {}

  evio::Action data(evio::Conn& conn, const evio::Bytes& in, evio::Output& out) const {
    Session& session = *conn.context<Session>();
    evio::Action action = evio::Action::None;
    session.input.feed(in, [&](std::string_view unread) {
      if (action == evio::Action::Close) return unread.size();  // ignore what follows the last request
      return answer_next(session.framer, unread, out, action);
    });
    return action;
  }

 private:
  // Answers the request at the beginning of `unread`. Returns its length; 0 if it is incomplete.
  std::size_t answer_next(Framer& framer, std::string_view unread, evio::Output& out, evio::Action& action) const {
    Framer::Result found = framer.find_end(unread);
    if (found.status == Status::kContinue) {
      out.append("HTTP/1.1 100 Continue\r\n\r\n");
      found = framer.find_end(unread);
    }
    if (found.status == Status::kMore) return 0;
    if (found.status == Status::kDone) {
      handle(framer, unread.substr(0, found.size), out, action);
      return found.size;
    }
    refuse(framer, found.status, out, action);
    return unread.size();
  }

  void handle(const Framer& framer, std::string_view whole, evio::Output& out, evio::Action& action) const {
    if (!noparse_) {
      // A real server would look at the request here. This one answers all requests alike.
      std::string storage;
      [[maybe_unused]] const Request request = parse(whole, storage);
    }
    Content content{.head = {}, .body = body_, .announce_only = framer.is_head()};
    if (!framer.keeps_alive()) {
      content.head = kClose;
      action = evio::Action::Close;
    } else if (framer.is_http_1_0()) {
      content.head = "Connection: keep-alive\r\n";
    }
    append_response(out, "200 OK", content);
  }

  static void refuse(const Framer& framer, Status status, evio::Output& out, evio::Action& action) {
    const Refusal refusal = refusal_for(status);
    append_response(out, refusal.status, {.head = kClose, .body = refusal.why, .announce_only = framer.is_head()});
    action = evio::Action::Close;
  }

  std::string body_;
  bool noparse_;
};

}  // namespace

evio::Events events(const Options& options) {
  evio::Events events;
  events.opened = [](evio::Conn& conn, evio::Output&, evio::Options&) {
    conn.set_context(Session());
    return evio::Action::None;
  };
  events.data = [service = Service(options)](evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
    return service.data(conn, in, out);
  };
  return events;
}

}  // namespace http
