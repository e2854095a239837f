# What the exact measurements need: this library's echo server, the bare one, and the load generator. The benchmarks and the
# tests in tests/perf both include this file, so what each needs for itself comes before the guard.
set(EVIO_BENCH_DIR ${CMAKE_CURRENT_LIST_DIR})
set(EVIO_BENCH_BIN ${PROJECT_BINARY_DIR}/bench)
enable_language(C)
include_guard(GLOBAL)
find_path(CXXOPTS_INCLUDE_DIR cxxopts.hpp REQUIRED)
find_package(Threads REQUIRED)

# evio_bench_target(NAME LIBRARY...): warnings and a place for a target whose sources are named already.
function(evio_bench_target name)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wshadow>)
  target_compile_features(${name} PRIVATE c_std_11 cxx_std_20)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARGN} Threads::Threads)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${EVIO_BENCH_BIN})
endfunction()

add_library(bench-common STATIC EXCLUDE_FROM_ALL ${EVIO_BENCH_DIR}/servers/common.c ${EVIO_BENCH_DIR}/servers/datagrams.c)
target_link_libraries(bench-common PRIVATE Threads::Threads)

add_executable(server-bare ${EVIO_BENCH_DIR}/servers/bare.c)
evio_bench_target(server-bare bench-common)
add_executable(server-evio ${EVIO_BENCH_DIR}/servers/evio.cpp)
evio_bench_target(server-evio bench-common evio::evio)

add_executable(server-evio-send ${EVIO_BENCH_DIR}/servers/evio_send.cpp)
evio_bench_target(server-evio-send bench-common evio::evio)

add_executable(server-evio-ways ${EVIO_BENCH_DIR}/servers/evio_ways.cpp)
evio_bench_target(server-evio-ways bench-common evio::evio)

add_executable(relay ${EVIO_BENCH_DIR}/relay.cpp ${EVIO_BENCH_DIR}/load/sockets.cpp)
evio_bench_target(relay evio::evio)

file(GLOB EVIO_BENCH_LOAD CONFIGURE_DEPENDS ${EVIO_BENCH_DIR}/load/*.cpp)
add_executable(bench-load ${EVIO_BENCH_LOAD})
if(EVIO_TLS)
  target_sources(bench-load PRIVATE ${EVIO_BENCH_DIR}/load/tls/openssl.cpp)
  target_link_libraries(bench-load PRIVATE OpenSSL::SSL OpenSSL::Crypto)
else()
  target_sources(bench-load PRIVATE ${EVIO_BENCH_DIR}/load/tls/absent.cpp)
endif()
target_include_directories(bench-load SYSTEM PRIVATE ${CXXOPTS_INCLUDE_DIR})
evio_bench_target(bench-load)
