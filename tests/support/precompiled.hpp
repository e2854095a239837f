// What most tests include, parsed once for all of them. Every file includes what it uses all the same: the clang preset
// compiles without this one. Nothing of evio is here, or each change to it would miss the compiler cache in every test;
// and not gmock, which takes longer to load than the few files that use it take to parse it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>
