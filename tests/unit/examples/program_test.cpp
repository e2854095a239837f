#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "examples/program.hpp"

namespace evio::test {
namespace {

using Program = Error (*)(int, char**);

// What the program comes to: its exit status and what it wrote to stderr.
std::string outcome(Program program) {
  testing::internal::CaptureStderr();
  const int status = examples::run(program, 0, nullptr);
  return std::to_string(status) + ' ' + testing::internal::GetCapturedStderr();
}

TEST(ExampleProgram, EndsWithWhatItReturnsOrThrows) {
  EXPECT_EQ(outcome([](int, char**) { return Error(); }), "0 ");
  EXPECT_EQ(outcome([](int, char**) { return Error(std::make_error_code(std::errc::io_error), "listen: broken"); }),
            "1 listen: broken\n");
  EXPECT_EQ(outcome([](int, char**) -> Error { throw std::runtime_error("a reason"); }), "1 a reason\n");
  EXPECT_EQ(outcome([](int, char**) -> Error { throw std::bad_alloc(); }), "1 out of memory\n");
  EXPECT_EQ(outcome([](int, char**) -> Error { throw 42; }), "1 an exception that is no std::exception\n");
}

TEST(ExampleProgram, LogsALineAtOnce) {
  testing::internal::CaptureStderr();
  examples::log("one");
  examples::log("");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "one\n\n");
}

}  // namespace
}  // namespace evio::test
