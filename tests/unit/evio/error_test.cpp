#include "evio/error.hpp"

#include <gtest/gtest.h>
#include <netdb.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace evio {
namespace {

TEST(ErrorTest, OfNothingIsNone) {
  const Error err;
  EXPECT_FALSE(err);
  EXPECT_FALSE(err.code());
  EXPECT_EQ(err.message(), "");
  if (const auto none = Error()) FAIL() << none.message();
}

TEST(ErrorTest, OfACodeHasTheCodesSentence) {
  const std::error_code code(EACCES, std::system_category());
  const Error err(code);
  EXPECT_TRUE(err);
  EXPECT_EQ(err.code(), code);
  EXPECT_EQ(err.code(), std::errc::permission_denied);
  EXPECT_EQ(err.message(), code.message());
}

TEST(ErrorTest, OfACodeThatIsNoneIsNone) {
  EXPECT_FALSE(Error(std::error_code()));
  EXPECT_EQ(Error(std::error_code()).message(), "");
}

TEST(ErrorTest, HasTheSentenceItWasGiven) {
  const Error err(std::make_error_code(std::errc::address_in_use), "listen tcp://:80: in use");
  EXPECT_TRUE(err);
  EXPECT_EQ(err.message(), "listen tcp://:80: in use");
}

TEST(ErrorTest, IsAValue) {
  Error err(std::make_error_code(std::errc::address_in_use), "a sentence");
  Error copy = err;
  EXPECT_EQ(copy.message(), "a sentence");
  const Error moved = std::move(err);
  EXPECT_EQ(moved.message(), "a sentence");
  copy = {};
  EXPECT_FALSE(copy);
  EXPECT_EQ(copy.message(), "");
}

TEST(ErrorTest, TheResolversErrorsHaveTheirOwnCategory) {
  const std::error_code code(EAI_NONAME, resolver_category());
  EXPECT_TRUE(Error(code));
  EXPECT_EQ(Error(code).message(), ::gai_strerror(EAI_NONAME));
  EXPECT_STREQ(code.category().name(), "resolver");
  EXPECT_EQ(&resolver_category(), &resolver_category());
  EXPECT_NE(code, std::error_code(EAI_NONAME, std::system_category()));
}

}  // namespace
}  // namespace evio
