#pragma once

namespace evio::test {

/// Every allocation of the program asks this first, and fails when it is true. A test that defines it is linked with
/// support/allocation_hook.cpp, and with WRAP ${allocation_calls}. Thread-safety: called on any thread.
bool allocation_fails();

}  // namespace evio::test
