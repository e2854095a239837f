#include "tests/fuzz/in_pieces.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace evio::test {
namespace {

std::size_t below(std::size_t limit, std::minstd_rand& random) {
  return limit == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}

void print(const char* what, const std::vector<std::string>& lines) {
  std::fprintf(stderr, "%s\n", what);
  for (const std::string& line : lines) std::fprintf(stderr, "  %s\n", line.c_str());
}

void mutate(std::string& text, std::span<const std::string> seeds, std::minstd_rand& random) {
  constexpr std::string_view kPieces[] = {"\r\n", "\n", "\r", " ", ":", ";", "0", "-1", "99999999999999999999",
                                          "$",    "*"};
  const std::size_t at = below(text.size() + 1, random);
  const std::size_t size = below(std::min<std::size_t>(text.size() - at, 16) + 1, random);
  switch (below(6, random)) {
    case 0:
      text.erase(at, size);
      break;
    case 1:
      text.insert(at, text.substr(at, size));
      break;
    case 2:
      text.insert(at, kPieces[below(std::size(kPieces), random)]);
      break;
    case 3:
      text.insert(at, 1, static_cast<char>(below(256, random)));
      break;
    case 4:
      text += seeds[below(seeds.size(), random)];
      break;
    default:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8, random)));
  }
}

}  // namespace

std::vector<std::size_t> cut(std::size_t size, std::minstd_rand& random) {
  const std::size_t largest = 1 + below(std::max<std::size_t>(size, 1), random);
  std::vector<std::size_t> ends;
  for (std::size_t end = 0; end < size;) ends.push_back(end = std::min(size, end + 1 + below(largest, random)));
  return ends;
}

bool same_in_any_pieces(std::string_view in) {
  const std::vector<std::size_t> whole{in.size()};
  std::vector<std::size_t> bytes(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) bytes[i] = i + 1;
  std::minstd_rand random(static_cast<unsigned>(std::hash<std::string_view>()(in)));
  const std::vector<std::string> wanted = parse(in, whole);
  for (const auto& ends : {bytes, cut(in.size(), random), cut(in.size(), random)}) {
    const std::vector<std::string> got = parse(in, ends);
    if (got == wanted) continue;
    print("whole:", wanted);
    print("in pieces:", got);
    return false;
  }
  return true;
}

void check_generated(std::span<const std::string> seeds, int count) {
  std::minstd_rand random(1);
  for (int i = 0; i < count; ++i) {
    std::string text = seeds[below(seeds.size(), random)];
    for (std::size_t changes = below(8, random); changes > 0; --changes) mutate(text, seeds, random);
    ASSERT_TRUE(same_in_any_pieces(text)) << "input " << i << ": " << testing::PrintToString(text);
  }
}

}  // namespace evio::test

// libFuzzer's entry; without it nobody calls this.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  GTEST_FLAG_SET(throw_on_failure, true);  // so that libFuzzer sees it
  if (!evio::test::same_in_any_pieces({reinterpret_cast<const char*>(data), size})) std::abort();
  return 0;
}
