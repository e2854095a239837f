#include "internal/net/client_hello.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/timing.hpp"

namespace evio::internal {
namespace {

std::string number(std::size_t value, int bytes) {
  std::string text;
  while (bytes-- != 0) text += static_cast<char>(value >> (8 * bytes));
  return text;
}

// With its length of so many bytes before it.
std::string vector(const std::string& content, int bytes = 2) { return number(content.size(), bytes) + content; }

std::string extension(std::size_t type, const std::string& content) { return number(type, 2) + vector(content); }

std::string server_name(const std::string& name) { return extension(0, vector('\0' + vector(name))); }

// A hello as a client of TLS 1.2 and 1.3 sends it, with these extensions' bytes.
std::string hello(const std::string& extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                           vector("\x13\x01\x13\x02\xc0\x2f") + vector(std::string(1, '\0'), 1) + extensions;
  return '\x01' + vector(body, 3);
}

std::string record(const std::string& content) { return "\x16\x03\x01" + vector(content); }

std::string in_records_of(std::size_t size, const std::string& message) {
  std::string text;
  for (std::size_t i = 0; i < message.size(); i += size) text += record(message.substr(i, size));
  return text;
}

std::string parse(std::string_view bytes) {
  std::string name = "unchanged";
  switch (find_server_name(bytes, name)) {
    case ClientHello::kIncomplete:
      return "incomplete";
    case ClientHello::kNotTls:
      return "not TLS";
    case ClientHello::kName:
      break;
  }
  return "<" + name + ">";
}

const std::string kGrease = extension(0x0a0a, "");
const std::string kGroups = extension(10, std::string("\x00\x04\x00\x1d\x00\x17", 6));
const std::string kName = hello(vector(kGrease + server_name("WWW.Example.org") + kGroups));

TEST(ClientHelloTest, HasANameOnceItIsThereWhole) {
  const std::string longest(255, 'x');
  const std::pair<std::string, std::string> table[] = {
      {kName, "<www.example.org>"},
      {hello(vector(server_name("a"))), "<a>"},
      {hello(vector(server_name(longest))), "<" + longest + ">"},
      {hello(vector(kGroups + extension(21, std::string(40'000, '\0')) + server_name("far.test"))), "<far.test>"},
      // none was sent
      {hello(""), "<>"},
      {hello(vector("")), "<>"},
      {hello(vector(kGrease + kGroups)), "<>"},
      {hello(vector(server_name(""))), "<>"},
  };
  for (const auto& [message, expected] : table) {
    for (const std::size_t size : {std::size_t{16384}, std::size_t{100}, std::size_t{7}, std::size_t{1}}) {
      const std::string bytes = in_records_of(size, message);
      SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 300)) + std::to_string(size));
      const std::size_t step = bytes.size() > 2000 ? 997 : 1;
      for (std::size_t n = 0; n < bytes.size(); n += step)
        ASSERT_EQ(parse(std::string_view(bytes).substr(0, n)), "incomplete") << n;
      ASSERT_EQ(parse(std::string_view(bytes).substr(0, bytes.size() - 1)), "incomplete");
      EXPECT_EQ(parse(bytes), expected);
      EXPECT_EQ(parse(bytes + "whatever"), expected);
    }
  }
}

TEST(ClientHelloTest, IsNotTlsAsSoonAsItCannotBe) {
  struct Bad {
    std::string bytes;
    std::size_t at;
  };
  const Bad table[] = {
      {"GET / HTTP/1.1\r\n", 0},
      {"\x80\x2e\x01", 0},  // of SSL 2
      {"\x15\x03\x01", 0},  // an alert
      {"\x16\x02", 1},
      {"\x16\x04", 1},
      {std::string("\x16\x03\x01\x00\x00", 5), 4},
      {"\x16\x03\x01\x40\x01", 4},
      {"\x16\x03\x01\x41", 3},
      {std::string("\x16\x03\x01\x00\x04\x02", 6), 5},
      {std::string("\x16\x03\x01\x00\x04\x01\x01", 7), 6},
      // its second record is none
      {record(kName.substr(0, 20)) + "\x14", 25},
      {record(kName.substr(0, 3)) + std::string("\x16\x03\x01\x00\x00", 5), 12},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(testing::PrintToString(bad.bytes));
    for (std::size_t n = 0; n <= bad.bytes.size(); ++n)
      ASSERT_EQ(parse(std::string_view(bad.bytes).substr(0, n)), n <= bad.at ? "incomplete" : "not TLS") << n;
    EXPECT_EQ(parse(bad.bytes + std::string(100, 'x')), "not TLS");
  }
}

TEST(ClientHelloTest, WhatIsMalformedInsideHasNoName) {
  const std::string name = server_name("example.org");
  const std::string whole = hello(vector(name));
  std::vector<std::string> malformed{
      '\x01' + number(0, 3),
      '\x01' + vector("\x03\x03", 3),
      '\x01' + vector(whole.substr(4, 60), 3),
      hello(vector(name) + "x"),
      hello(number(name.size() + 1, 2) + name),
      hello("x"),
      hello(vector(name.substr(0, name.size() - 1))),
      hello(vector("x")),
      hello(vector(extension(0, ""))),
      hello(vector(extension(0, vector("")))),
      hello(vector(extension(0, vector('\1' + vector("example.org"))))),  // of another kind
      hello(vector(extension(0, vector('\0' + vector("a") + '\0' + vector("b"))))),
      hello(vector(server_name("a\nb"))),  // it would break the lines of a log
      hello(vector(server_name("a\x1b[31m"))),
      hello(vector(extension(0, number(99, 2) + '\0' + vector("example.org")))),
      hello(vector(extension(0, vector('\0' + number(99, 2) + "example.org")))),
      hello(vector(extension(0, vector('\0' + vector("example.org")) + "x"))),
      hello(vector(server_name(std::string("a\0b", 3)))),
      hello(vector(server_name(std::string(256, 'x')))),
  };
  for (const std::string& message : malformed) {
    SCOPED_TRACE(testing::PrintToString(message));
    EXPECT_EQ(parse(record(message)), "<>");
    EXPECT_EQ(parse(in_records_of(1, message)), "<>");
  }
}

TEST(ClientHelloTest, AsLongAsItMayBe) {
  const std::string padding(65'535 - 200, '\0');
  const std::string longest = hello(vector(server_name("long.test") + extension(21, padding)));
  EXPECT_EQ(parse(in_records_of(16384, longest)), "<long.test>");
  EXPECT_EQ(parse("\x16\x03\x01\x40" + std::string(1, '\0') + "\x01\x01"), "not TLS") << "64 KiB and more";
}

// The same by other means: all records are put together first.
std::string reference(const std::string& bytes) {
  const auto at = [](const std::string& text, std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::string message;
  std::string missing = "incomplete";
  for (std::size_t i = 0; i < bytes.size();) {
    if (message.size() >= 4 && message.size() >= 4U + at(message, 2) * 256U + at(message, 3)) break;
    const std::size_t left = bytes.size() - i;
    const std::size_t size = (left > 3 ? at(bytes, i + 3) * 256U : 0) + (left > 4 ? at(bytes, i + 4) : 0);
    if (at(bytes, i) != 22 || (left > 1 && at(bytes, i + 1) != 3) || size > 16384 || (left > 4 && size == 0)) {
      missing = "not TLS";
      break;
    }
    if (left > 5) message += bytes.substr(i + 5, size);
    if (!message.empty() && message[0] != 1) return "not TLS";
    if (message.size() > 1 && message[1] != 0) return "not TLS";
    i += 5 + size;
  }
  if (message.size() < 4 || message.size() < 4U + at(message, 2) * 256U + at(message, 3)) return missing;
  const std::string body = message.substr(4, at(message, 2) * 256U + at(message, 3));
  std::size_t i = 34;
  try {
    i += 1U + static_cast<unsigned char>(body.at(i));
    i += 2U + static_cast<unsigned char>(body.at(i)) * 256U + static_cast<unsigned char>(body.at(i + 1));
    i += 1U + static_cast<unsigned char>(body.at(i));
    if (body.size() < i + 2 || body.size() - i - 2 != at(body, i) * 256U + at(body, i + 1)) return "<>";
    for (i += 2; i + 4 <= body.size();) {
      const std::string content = body.substr(i + 4, at(body, i + 2) * 256U + at(body, i + 3));
      if (content.size() != at(body, i + 2) * 256U + at(body, i + 3)) return "<>";
      if (at(body, i) == 0 && at(body, i + 1) == 0) {
        if (content.size() < 5 || content != vector('\0' + vector(content.substr(5))) || content.size() > 260)
          return "<>";
        std::string name = content.substr(5);
        if (!std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; })) return "<>";
        for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        return "<" + name + ">";
      }
      i += 4 + content.size();
    }
  } catch (const std::out_of_range&) {
  }
  return "<>";
}

TEST(ClientHelloTest, SaysWhatAReferenceSaysOfChangedHellos) {
  std::minstd_rand random(1);
  const std::vector<std::string> seeds{record(kName), in_records_of(30, kName), in_records_of(1, kName),
                                       record(hello("")), record(hello(vector(kGroups + server_name("a.test"))))};
  for (int i = 0; i != (test::kSanitized ? 20'000 : 100'000); ++i) {
    std::string bytes = seeds[random() % seeds.size()];
    for (auto changes = random() % 4; changes != 0; --changes) {
      const std::size_t at = random() % bytes.size();
      if (random() % 2 == 0) {
        bytes[at] = static_cast<char>(random() % 4 == 0 ? random() : static_cast<unsigned char>(bytes[at]) + 1);
      } else if (random() % 2 == 0) {
        bytes.insert(at, 1, '\0');
      } else {
        bytes.erase(at, 1);
      }
    }
    bytes.resize(bytes.size() - random() % 2);
    ASSERT_EQ(parse(bytes), reference(bytes)) << testing::PrintToString(bytes);
    // what has an outcome keeps it
    bool decided = false;
    for (std::size_t n = 0; n <= bytes.size(); n += 1 + random() % 40) {
      const std::string state = parse(std::string_view(bytes).substr(0, n));
      EXPECT_TRUE(!decided || state == reference(bytes));
      decided = decided || state != "incomplete";
    }
  }
}

}  // namespace
}  // namespace evio::internal
