#include "evio/input_stream.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "internal/buffer/bytes_access.hpp"
#include "tests/support/timing.hpp"

namespace evio {
namespace {

// Takes lines; the bytes it is offered and takes are counted.
struct Lines {
  std::vector<std::string> lines;
  std::size_t calls = 0;

  std::size_t operator()(std::string_view text) {
    ++calls;
    EXPECT_FALSE(text.empty()) << "consume is never called with nothing";
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return 0;
    lines.emplace_back(text.substr(0, end));
    return end + 1;
  }
};

using List = std::vector<std::string>;
const std::string kText = "first\n\nthird, longer\nfourth\n";
const List kLines{"first", "", "third, longer", "fourth"};

TEST(InputStreamTest, ConsumeMayTakeItsViewByAnyReference) {
  InputStream stream;
  std::size_t used = 0;
  stream.feed(std::string_view("text"), [&](auto& text) { return used += text.size(); });
  EXPECT_EQ(used, 4u);
  stream.feed(Bytes::literal("bytes"), [&](auto& text) { return used += text.size(); });
  EXPECT_EQ(used, 9u);
}

TEST(InputStreamTest, FeedTakesWholeMessages) {
  InputStream stream;
  Lines lines;
  stream.feed(kText, lines);
  EXPECT_EQ(lines.lines, kLines);
  EXPECT_EQ(lines.calls, 4u) << "not called when nothing is left";
}

TEST(InputStreamTest, FeedTakesMessagesCutAnywhere) {
  for (std::size_t first = 0; first <= kText.size(); ++first) {
    for (std::size_t second = first; second <= kText.size(); ++second) {
      InputStream views;
      InputStream shares;
      Lines from_views;
      Lines from_shares;
      const Bytes text = Bytes::copy(kText);
      for (const auto& [from, to] : {std::pair(std::size_t{0}, first), {first, second}, {second, kText.size()}}) {
        views.feed(std::string(kText, from, to - from), from_views);  // gone after the call
        shares.feed(text.substr(from, to - from), from_shares);
      }
      ASSERT_EQ(from_views.lines, kLines) << first << " " << second;
      ASSERT_EQ(from_shares.lines, kLines) << first << " " << second;
    }
  }
}

TEST(InputStreamTest, BeginAndEndTakeMessagesCutAnywhere) {
  for (std::size_t step = 1; step <= kText.size(); ++step) {
    InputStream stream;
    Lines lines;
    for (std::size_t from = 0; from < kText.size(); from += step) {
      const std::string packet(kText, from, step);
      std::string_view rest = stream.begin(packet);
      while (!rest.empty()) {
        const std::size_t used = lines(rest);
        if (used == 0) break;
        rest.remove_prefix(used);
      }
      stream.end(rest);
    }
    ASSERT_EQ(lines.lines, kLines) << step;
    EXPECT_EQ(stream.begin(""), "");
  }
}

TEST(InputStreamTest, BeginIsThePacketItselfWhenNothingWasKept) {
  InputStream stream;
  const std::string packet = "packet";
  EXPECT_EQ(stream.begin(packet).data(), packet.data());
  stream.end("");
  EXPECT_EQ(stream.begin(packet).data(), packet.data());
  stream.end(std::string_view(packet).substr(6));
  EXPECT_EQ(stream.begin(packet).data(), packet.data());
}

TEST(InputStreamTest, EndKeepsWhateverItIsGiven) {
  InputStream stream;
  EXPECT_EQ(stream.begin("abc"), "abc");
  stream.end("c");
  EXPECT_EQ(stream.begin("def"), "cdef");
  stream.end("something else");
  EXPECT_EQ(stream.begin(""), "something else");
  stream.end({});
  EXPECT_EQ(stream.begin("new"), "new");
  EXPECT_EQ(stream.begin("er"), "er") << "what begin gave and end did not keep is gone";
}

TEST(InputStreamTest, EndKeepsTheEndOfWhatBeginGave) {
  InputStream stream;
  stream.end("kept");
  for (int i = 0; i != 1000; ++i) {
    const std::string_view view = stream.begin("12345678");
    ASSERT_EQ(view.size(), 12u);
    stream.end(view.substr(8));
  }
  EXPECT_EQ(stream.begin(""), "5678");
}

TEST(InputStreamTest, FedNothingItOffersWhatItKept) {
  InputStream stream;
  Lines lines;
  stream.feed(std::string_view("no end"), lines);
  EXPECT_EQ(lines.calls, 1u);
  stream.feed(Bytes(), lines);
  EXPECT_EQ(lines.calls, 2u);
  std::string offered;
  stream.feed(std::string_view(), [&](std::string_view text) {
    offered = text;
    return text.size();
  });
  EXPECT_EQ(offered, "no end");
  stream.feed(std::string_view(), lines);
  EXPECT_EQ(lines.calls, 2u) << "with nothing kept it is not called";
}

TEST(InputStreamTest, GivenBytesItGivesBytesThatMayBeKept) {
  InputStream stream;
  std::vector<Bytes> kept;
  std::vector<const char*> data;
  const auto take = [&](const Bytes& text) -> std::size_t {
    const std::size_t end = text.view().find('\n');
    if (end == std::string_view::npos) return 0;
    kept.push_back(text.substr(0, end));
    return end + 1;
  };
  const Bytes whole = Bytes::copy("one\ntwo\nthr");
  stream.feed(whole, take);
  EXPECT_EQ(kept.at(0).data(), whole.data()) << "it was copied";
  EXPECT_EQ(kept.at(1).data(), whole.data() + 4);
  for (const char* piece : {"e", "e\nfo", "ur\n", "five", "\n"}) stream.feed(Bytes::copy(piece), take);
  std::string all;
  for (const Bytes& bytes : kept) all += bytes.str() + ",";
  EXPECT_EQ(all, "one,two,three,four,five,");
}

TEST(InputStreamTest, WhatWasKeptOfItStaysWhileMoreIsFed) {
  InputStream stream;
  std::vector<Bytes> kept;
  for (int i = 0; i != 2000; ++i) {
    const std::string number = std::to_string(i);
    for (const std::string& piece : {number.substr(0, 1), number.substr(1) + ";"}) {
      stream.feed(Bytes::copy(piece), [&](const Bytes& text) -> std::size_t {
        const std::size_t end = text.view().find(';');
        if (end == std::string_view::npos) return 0;
        kept.push_back(text.substr(0, end));
        return end + 1;
      });
    }
  }
  ASSERT_EQ(kept.size(), 2000u);
  for (int i = 0; i != 2000; ++i) EXPECT_EQ(kept[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(InputStreamTest, ALargeRestIsKeptInItsStorage) {
  InputStream stream;
  const Bytes whole = std::string(100'000, 'x');
  stream.feed(whole, [](const Bytes&) { return 0; });
  const char* data = nullptr;
  stream.feed(Bytes(), [&](const Bytes& text) {
    data = text.data();
    return text.size();
  });
  EXPECT_EQ(data, whole.data());
}

// Views that are overwritten when their call is over must not be kept.
TEST(InputStreamTest, LentBytesAreCopied) {
  InputStream stream;
  std::string buffer(20'000, 'a');
  stream.feed(internal::BytesAccess::make_unowned(buffer), [](const Bytes&) { return 0; });
  buffer.assign(20'000, 'b');
  stream.feed(internal::BytesAccess::make_unowned("end"), [&](const Bytes& text) {
    EXPECT_EQ(text, std::string(20'000, 'a') + "end");
    return text.size();
  });
}

TEST(InputStreamTest, UsingMoreThanThereIsUsesAll) {
  InputStream stream;
  stream.feed(std::string_view("abc"), [](std::string_view) { return 1000; });
  EXPECT_EQ(stream.begin("next"), "next");
}

TEST(InputStreamTest, WhenConsumeThrowsTheRestIsKept) {
  InputStream stream;
  int calls = 0;
  const auto consume = [&](std::string_view) -> std::size_t {
    if (++calls == 3) throw std::runtime_error("on purpose");
    return 1;
  };
  EXPECT_THROW(stream.feed(std::string_view("abcdef"), consume), std::runtime_error);
  EXPECT_EQ(stream.begin(""), "cdef");
}

TEST(InputStreamTest, MayBeMoved) {
  InputStream from;
  from.end("kept");
  InputStream to = std::move(from);
  EXPECT_EQ(to.begin("+"), "kept+");
  to.end("kept+");
  InputStream third;
  third.end("third");
  third = std::move(to);
  EXPECT_EQ(third.begin(""), "kept+");
  auto held = std::make_unique<InputStream>(std::move(third));
  EXPECT_EQ(held->begin("!"), "kept+!");
}

#if EVIO_TEST_ADDRESS_SANITIZER

volatile char touched = 0;

// Of all but large rests: those would be copied too often.
TEST(InputStreamTest, AViewOfBeginUsedAfterTheNextCallFails) {
  const auto in_end = [] {
    InputStream stream;
    stream.begin("packet");
    stream.end("cket");
    const std::string_view view = stream.begin("more");
    stream.end(view.substr(2));
    touched = view.back();  // what was kept of it, too
  };
  const auto in_begin = [](const char* packet) {
    InputStream stream;
    stream.end("kept");
    const std::string_view view = stream.begin("more");
    stream.begin(packet);
    touched = view[0];
  };
  EXPECT_DEATH(in_end(), "heap-use-after-free");
  EXPECT_DEATH(in_begin("and more"), "heap-use-after-free");
  EXPECT_DEATH(in_begin(""), "heap-use-after-free");
}

TEST(InputStreamTest, AViewThatConsumeGotUsedAfterFeedFails) {
  const auto use_it = [] {
    InputStream stream;
    stream.feed(std::string_view("kept,"), [](std::string_view) { return 0; });
    std::string_view view;
    stream.feed(std::string_view("more"), [&](std::string_view unread) {
      view = unread;
      return 0;
    });
    touched = view[0];
  };
  EXPECT_DEATH(use_it(), "heap-use-after-free");
}

#endif

// RefCounted in the bytes that are copied, not in time: each stays where it is for as long as there is room behind it.
TEST(InputStreamTest, IsLinearByteByByte) {
  constexpr std::size_t kSize = 1 << 20;
  // Under AddressSanitizer what is no larger moves with each call.
  constexpr std::size_t kRenewed = test::kAddressSanitizer ? 16 * 1024 : 0;
  InputStream stream;
  std::size_t moves = 0;
  const char* last = nullptr;
  std::size_t largest = 0;
  for (std::size_t i = 0; i != kSize; ++i) {
    stream.feed(std::string_view("x"), [&](std::string_view text) -> std::size_t {
      if (text.data() != last && text.size() > kRenewed) ++moves;
      last = text.data();
      largest = text.size();
      return 0;
    });
  }
  EXPECT_EQ(largest, kSize);
  EXPECT_LT(moves, 40u) << "a byte is copied more than a bounded number of times";
}

// A long unread rest, of which a little is taken as a little comes.
TEST(InputStreamTest, IsLinearForASlidingWindow) {
  constexpr std::size_t kWindow = 64 * 1024;
  InputStream stream;
  stream.feed(std::string(kWindow, 'x'), [](std::string_view) { return 0; });
  std::size_t moves = 0;
  const char* expected = nullptr;
  for (std::size_t i = 0; i != 4 * kWindow; ++i) {
    bool first = true;
    stream.feed(std::string_view("x"), [&](std::string_view text) -> std::size_t {
      EXPECT_EQ(text.size(), first ? kWindow + 1 : kWindow);
      if (!first) return 0;
      if (text.data() != expected) ++moves;
      expected = text.data() + 1;
      first = false;
      return 1;
    });
  }
  EXPECT_LT(moves, 16u);
}

}  // namespace
}  // namespace evio
