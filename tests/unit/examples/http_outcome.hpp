#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "examples/http/framer.hpp"

namespace evio::test {

// What becomes of a whole input: "done 18", one for each request, and how it ends: "more", or the status of a refusal.
inline std::vector<std::string> outcome(std::string_view in, std::size_t cut = std::string_view::npos) {
  std::vector<std::string> seen;
  http::Framer framer;
  std::size_t begin = 0;
  for (std::size_t end = std::min(cut, in.size());; end = std::min(end + std::min(cut, in.size()), in.size())) {
    while (begin < end) {
      const auto [status, size] = framer.find_end(in.substr(begin, end - begin));
      if (status == http::Status::kMore) break;
      const bool done = status == http::Status::kDone;
      seen.push_back(done ? "done " + std::to_string(size) : std::to_string(static_cast<int>(status)));
      if (!done && status != http::Status::kContinue) return seen;
      begin += size;
    }
    if (end == in.size()) break;
  }
  if (begin < in.size()) seen.push_back("more");
  return seen;
}

struct Case {
  std::string in;
  std::vector<std::string> outcome;
};

inline std::string get(std::string_view fields = "") {
  return "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

inline std::string post(std::string_view fields, std::string_view body = "") {
  return "POST /p HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

inline std::string done(const std::string& request) { return "done " + std::to_string(request.size()); }

/// Checks the outcomes, which must be the same however the input is cut.
inline void expect(const std::vector<Case>& cases) {
  for (const auto& [in, wanted] : cases) {
    EXPECT_EQ(outcome(in), wanted) << in.substr(0, 200);
    for (const std::size_t cut : {1u, 2u, 3u, 7u}) {
      EXPECT_EQ(outcome(in, cut), wanted) << in.substr(0, 200) << " in pieces of " << cut;
    }
  }
}

}  // namespace evio::test
