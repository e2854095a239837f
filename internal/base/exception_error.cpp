#include "internal/base/exception_error.hpp"

#include <exception>
#include <new>

namespace evio::internal {

namespace {

Error describe_current_exception() {
  const auto canceled = std::make_error_code(std::errc::operation_canceled);
  try {
    throw;
  } catch (const std::system_error& e) {
    return Error(e.code() ? e.code() : canceled, e.what());
  } catch (const std::bad_alloc& e) {
    return Error(std::make_error_code(std::errc::not_enough_memory), e.what());
  } catch (const std::exception& e) {
    return Error(canceled, e.what());
  } catch (...) {
    return Error(canceled, "a callback threw something that is no std::exception");
  }
}

}  // namespace

Error current_exception_error() noexcept {
  try {
    return describe_current_exception();
  } catch (...) {  // no memory for the sentence: one that fits into the string itself
    return Error(std::make_error_code(std::errc::not_enough_memory), "no memory");
  }
}

}  // namespace evio::internal
