# How a test program is made:
#
#   evio_test(FOLDER/NAME_test       the program FOLDER_NAME_test of that source; a folder within a folder is part of the name
#             SOURCES FILE...        other sources of its own, relative to tests/
#             EXAMPLES NAME...       the parts of these examples: examples/NAME/*.cpp
#             PROGRAMS NAME...       the examples that it runs: build them first
#             WRAP CALL...           calls that it replaces: each CALL is linked with -Wl,--wrap=CALL to __wrap_CALL
#             INJECT                 fault/inject.hpp, which replaces all the system calls that evio makes
#             TLS                    left out where EVIO_TLS is off
#             UNSANITIZED            left out with a sanitizer, which would be counted, too
#             WHOLE)                 one ctest entry for the program instead of one for each TEST
#   evio_tests(FOLDER NAME...)       the same for many that need nothing of this; NAME_test is meant
#
# A program is linked with evio, with everything in support/, and with gtest's main unless it has its own. EVIO_EXAMPLES_DIR is the
# folder of the examples' programs. The target FOLDER_tests builds all of a folder's.

# The last resort behind the watchdog that each test has for each of its parameters: no figure that a busy machine may come near.
set(evio_test_timeout 1500)
if(EVIO_SANITIZE)
  set(evio_test_timeout 4500)
endif()

# Most tests are compiled unoptimised, which takes half of the time; what they test stays optimised. Optimised are those that
# count or load, and without a sanitizer unit/, which tests what the public headers have inline.
set(evio_optimised_tests support stress fuzz perf)
if(NOT EVIO_SANITIZE)
  list(APPEND evio_optimised_tests unit)
endif()

# With one thread there is nothing for ThreadSanitizer: it takes long to build.
set(evio_threadless_tests "^(fuzz|unit/(buffer|examples|net|tls))/")

# Tests look inside, and replace system calls when they are linked: both need a static evio.
set(testable evio)
get_target_property(type evio TYPE)
if(type STREQUAL SHARED_LIBRARY)
  set(testable evio_testable)
  list(TRANSFORM evio_public_sources PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE public)
  list(TRANSFORM evio_internal_sources PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE private)
  add_library(evio_testable STATIC ${public} ${private})
  evio_configure_library(evio_testable)
  target_link_libraries(evio_testable PRIVATE Threads::Threads ConcurrentQueue::ConcurrentQueue)
  if(EVIO_TLS)
    list(TRANSFORM evio_tls_internal_sources PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE private)
    add_library(evio_testable_tls STATIC ${PROJECT_SOURCE_DIR}/evio/tls.cpp ${private})
    evio_configure_library(evio_testable_tls)
  endif()
endif()

add_library(evio_test_base INTERFACE)
target_include_directories(evio_test_base INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(evio_test_base INTERFACE ${testable} GTest::gmock GTest::gtest Threads::Threads
                                               ConcurrentQueue::ConcurrentQueue)
if(EVIO_TLS)
  target_link_libraries(evio_test_base INTERFACE ${testable}_tls OpenSSL::SSL OpenSSL::Crypto)
endif()
# The layout of internal/ depends on what the library is compiled with: _FILE_OFFSET_BITS with 32 bits.
target_compile_definitions(evio_test_base INTERFACE $<TARGET_PROPERTY:${testable},COMPILE_DEFINITIONS>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False as -Wrestrict is, and reported because GCC forgets of what is precompiled that it is a system header's.
  target_compile_options(evio_test_base INTERFACE -Wno-array-bounds -Wno-stringop-overread -Wno-stringop-overflow)
endif()

# Linking two hundred programs takes a quarter of the time with mold.
find_program(EVIO_MOLD ld.mold)
mark_as_advanced(EVIO_MOLD)
if(EVIO_MOLD AND (CMAKE_CXX_COMPILER_ID STREQUAL Clang OR CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1))
  target_link_options(evio_test_base INTERFACE -fuse-ld=mold)
endif()

# ccache looks at what includes a precompiled header only when it is told to.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "(^|/)ccache$")
  list(PREPEND CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros)
endif()

# One precompiled header for each way to compile. Nothing else may differ: GCC ignores one that does not fit, and says so.
set(pch_source ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
file(CONFIGURE OUTPUT ${pch_source} CONTENT "")
foreach(pch evio_test_pch evio_test_pch_optimised)
  add_library(${pch} OBJECT ${pch_source})
  target_link_libraries(${pch} PRIVATE evio_test_base)
  target_precompile_headers(${pch} PRIVATE support/precompiled.hpp)
endforeach()
target_compile_options(evio_test_pch PRIVATE -O0)

function(evio_compile_test target folder)
  target_link_libraries(${target} PRIVATE evio_test_base)
  if(folder IN_LIST evio_optimised_tests)
    target_precompile_headers(${target} REUSE_FROM evio_test_pch_optimised)
  else()
    target_compile_options(${target} PRIVATE -O0)
    target_precompile_headers(${target} REUSE_FROM evio_test_pch)
  endif()
endfunction()

# An object library, so that what nothing but a --wrap refers to is linked as well.
function(evio_test_objects target folder)
  add_library(${target} OBJECT ${ARGN})
  evio_compile_test(${target} ${folder})
endfunction()

# An entry for each TEST of a program.
function(evio_discover_later target)
  set(base ${CMAKE_CURRENT_BINARY_DIR}/${target})
  file(
    GENERATE
    OUTPUT ${base}.ctest.cmake
    CONTENT
      "include(\"${PROJECT_SOURCE_DIR}/tests/discover.cmake\")
evio_discover_tests(${target} \"$<TARGET_FILE:${target}>\" \"${base}.tests.cmake\" ${ARGN})
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${base}.ctest.cmake)
endfunction()

# ctest runs each TEST in a process of its own, so that one that hangs is named and the others go on. Fast suites are one entry for
# each program, and under a sanitizer, whose processes take longer to start than most tests do, all but stress/. stress/ runs alone:
# it takes all the processors and descriptors there are.
function(evio_register_test target folder whole)
  set(properties LABELS ${folder} TIMEOUT ${evio_test_timeout})
  if(folder STREQUAL stress)
    list(APPEND properties RUN_SERIAL ON)
  endif()
  if(whole OR folder MATCHES "^(unit|fuzz)$" OR (EVIO_SANITIZE AND NOT folder STREQUAL stress))
    add_test(NAME ${target} COMMAND ${target} --gtest_brief=1)
    set_tests_properties(${target} PROPERTIES ${properties})
  else()
    evio_discover_later(${target} ${properties})
  endif()
endfunction()

function(evio_test path)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INJECT;TLS;UNSANITIZED;WHOLE" "" "SOURCES;EXAMPLES;PROGRAMS;WRAP")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "evio_test(${path}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  set_property(GLOBAL APPEND PROPERTY evio_test_sources ${path}.cpp)
  if((arg_UNSANITIZED AND EVIO_SANITIZE) OR ((arg_EXAMPLES OR arg_PROGRAMS) AND NOT EVIO_BUILD_EXAMPLES))
    return()
  endif()
  if((arg_TLS AND NOT EVIO_TLS) OR (EVIO_SANITIZE STREQUAL thread AND path MATCHES "${evio_threadless_tests}"))
    return()
  endif()
  string(REGEX REPLACE "/.*" "" folder ${path})
  string(REPLACE "/" "_" target ${path})
  list(TRANSFORM arg_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/tests/)
  list(TRANSFORM arg_EXAMPLES REPLACE "(.+)" "example_\\1_parts")
  if(arg_EXAMPLES)
    list(APPEND arg_EXAMPLES example_flags)
  endif()
  list(TRANSFORM arg_WRAP PREPEND "LINKER:--wrap=")
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${path}.cpp ${arg_SOURCES})
  evio_compile_test(${target} ${folder})
  target_link_libraries(${target} PRIVATE ${arg_EXAMPLES})
  target_compile_definitions(${target} PRIVATE EVIO_EXAMPLES_DIR="${PROJECT_BINARY_DIR}/examples")
  target_link_options(${target} PRIVATE ${arg_WRAP})
  if(folder STREQUAL fuzz AND EVIO_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)  # which has the main
    return()
  endif()
  target_link_libraries(${target} PRIVATE evio_test_support GTest::gtest_main)
  if(NOT TARGET ${folder}_tests)
    add_custom_target(${folder}_tests)
  endif()
  add_dependencies(${folder}_tests ${target})
  if(arg_PROGRAMS)
    add_dependencies(${target} ${arg_PROGRAMS})
  endif()
  if(arg_INJECT)
    target_link_libraries(${target} PRIVATE evio_test_inject)
  endif()
  evio_register_test(${target} ${folder} ${arg_WHOLE})
endfunction()

function(evio_tests folder)
  foreach(name IN LISTS ARGN)
    evio_test(${folder}/${name}_test)
  endforeach()
endfunction()

# Each source that is called a test is one.
function(evio_forget_no_test)
  file(GLOB_RECURSE sources RELATIVE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/*_test.cpp)
  get_property(listed GLOBAL PROPERTY evio_test_sources)
  list(REMOVE_ITEM sources ${listed})
  if(sources)
    message(FATAL_ERROR "tests/CMakeLists.txt does not list ${sources}")
  endif()
endfunction()
