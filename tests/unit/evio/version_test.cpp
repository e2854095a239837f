#include "evio/version.hpp"

#include <gtest/gtest.h>

#include <string>

namespace evio {
namespace {

TEST(VersionTest, TheNumberOrdersAsTheVersionsDo) {
  EXPECT_EQ(EVIO_VERSION / 10000, EVIO_VERSION_MAJOR);
  EXPECT_EQ(EVIO_VERSION / 100 % 100, EVIO_VERSION_MINOR);
  EXPECT_EQ(EVIO_VERSION % 100, EVIO_VERSION_PATCH);
}

TEST(VersionTest, TheTextHasAllThreeNumbers) {
  const std::string text = EVIO_VERSION_STRING;
  EXPECT_EQ(text, std::to_string(EVIO_VERSION_MAJOR) + "." + std::to_string(EVIO_VERSION_MINOR) + "." +
                      std::to_string(EVIO_VERSION_PATCH));
  EXPECT_EQ(text, EVIO_CMAKE_VERSION) << "CMake has read another version";
}

// Usable where a program asks, in the preprocessor.
#if EVIO_VERSION < 100
#error "EVIO_VERSION is too small"
#endif

}  // namespace
}  // namespace evio
