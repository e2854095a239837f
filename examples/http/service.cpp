#include "examples/http/service.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "examples/http/framer.hpp"
#include "examples/http/request.hpp"
#include "examples/http/response.hpp"
#include "examples/pipeline.hpp"

namespace http {

namespace {

constexpr std::string_view kClose = "Connection: close\r\n";

// The state of one connection: the part of its next request that has arrived, and how far it has been examined.
struct Session {
  examples::Pipeline pipeline;
  Framer framer;
  bool has_deadline = false;
  std::size_t deadline_from = 0;  // how much of the request had come when its deadline was set; 0: it has none yet
};

constexpr std::size_t kBodyStep = 64 * 1024;  // a body has a new deadline after so much

std::chrono::nanoseconds seconds(double count) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(count));
}

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

class Service : public std::enable_shared_from_this<Service> {
 public:
  explicit Service(const Options& options)
      : options_(options), body_(options.aaaa ? std::string(1024, 'a') : "Hello World!\r\n") {}

  void opened(evio::Conn& conn, evio::Options& opts) const {
    conn.set_context(Session());
    opts.idle_timeout = seconds(options_.idle_timeout);
    opts.write_timeout = seconds(options_.write_timeout);
  }

  evio::Action data(evio::Conn& conn, const evio::Bytes& in, evio::Output& out) const {
    Session& session = *conn.context<Session>();
    const auto answer = [&](std::string_view unread, evio::Action& action) {
      return answer_next(session, unread, out, action);
    };
    const evio::Action action = session.pipeline.feed(conn, in, out, answer);
    if (session.pipeline.is_full() && conn.pending() == 0) {
      conn.post([service = shared_from_this()](evio::Conn& self, evio::Output& more) {
        return service->data(self, {}, more);
      });
    }
    if (action == evio::Action::None && !session.pipeline.is_full()) set_deadline(conn, session);
    return action;
  }

  // A client that takes a byte now and then is never idle: it has a deadline for all that waits.
  void congested(evio::Conn& conn) const {
    conn.context<Session>()->has_deadline = true;
    conn.expires_after(seconds(options_.write_timeout));
  }

  evio::Action drained(evio::Conn& conn, evio::Output& out) const {
    conn.context<Session>()->deadline_from = 0;  // what has come of a request did not wait for its client
    return data(conn, {}, out);
  }

  static evio::Action timeout(evio::Conn& conn, evio::Timeout what, evio::Output& out) {
    if (conn.pending() > 0 || what == evio::Timeout::Write) {
      conn.abort();  // Close would wait for a client that reads slowly
      return evio::Action::None;
    }
    if (what == evio::Timeout::Deadline) {
      append_response(out, "408 Request Timeout", {.head = kClose, .body = "request timeout\n"});
    }
    return evio::Action::Close;
  }

 private:
  // Answers the request at the beginning of `unread`. Returns its length; 0 if it is incomplete.
  std::size_t answer_next(Session& session, std::string_view unread, evio::Output& out, evio::Action& action) const {
    Framer& framer = session.framer;
    Framer::Result found = framer.find_end(unread);
    if (found.status == Status::kContinue) {
      out.append("HTTP/1.1 100 Continue\r\n\r\n");
      found = framer.find_end(unread);
    }
    if (found.status == Status::kMore) return 0;
    session.deadline_from = 0;
    if (found.status == Status::kDone) {
      handle(framer, unread.substr(0, found.size), out, action);
      return found.size;
    }
    refuse(framer, found.status, out, action);
    return unread.size();
  }

  void handle(const Framer& framer, std::string_view whole, evio::Output& out, evio::Action& action) const {
    if (!options_.noparse) {
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

  // Only a request that does not come at once costs a timer.
  void set_deadline(const evio::Conn& conn, Session& session) const {
    const std::size_t come = session.framer.examined();
    if (come == 0) {
      if (session.has_deadline) conn.expires_after(std::chrono::nanoseconds(0));
      session.has_deadline = false;
    } else if (session.deadline_from == 0 || come - session.deadline_from >= kBodyStep) {
      conn.expires_after(seconds(options_.header_timeout));
      session.has_deadline = true;
      session.deadline_from = come;
    }
  }

  Options options_;
  std::string body_;
};

}  // namespace

evio::Events events(const Options& options) {
  const auto service = std::make_shared<const Service>(options);
  evio::Events events;
  events.opened = [service](evio::Conn& conn, evio::Output&, evio::Options& opts) {
    service->opened(conn, opts);
    return evio::Action::None;
  };
  events.data = [service](evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
    return service->data(conn, in, out);
  };
  events.congested = [service](evio::Conn& conn) {
    service->congested(conn);
    return evio::Action::None;
  };
  events.drained = [service](evio::Conn& conn, evio::Output& out) { return service->drained(conn, out); };
  events.timeout = Service::timeout;
  return events;
}

}  // namespace http
