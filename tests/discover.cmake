# evio_discover_tests(TARGET PROGRAM LIST PROPERTIES...): included when ctest starts, not at configure time: a sanitizer's program
# may need ctest's environment to run. Asks PROGRAM which tests it has and writes one ctest entry for each TEST to LIST, with all of
# its parameters in that one process; asks again when PROGRAM is newer than LIST.
cmake_policy(VERSION 3.25)

function(evio_discover_tests target program list)
  if(NOT EXISTS "${program}")
    add_test(${target}.not_built ${target}.not_built)
    return()
  endif()
  if(NOT EXISTS "${list}" OR "${program}" IS_NEWER_THAN "${list}" OR "${CMAKE_CURRENT_FUNCTION_LIST_FILE}" IS_NEWER_THAN "${list}")
    execute_process(
      COMMAND "${program}" --gtest_list_tests
      OUTPUT_VARIABLE lines
      ERROR_VARIABLE said
      RESULT_VARIABLE result
      TIMEOUT 300)
    if(NOT result STREQUAL 0)
      message(FATAL_ERROR "${program} --gtest_list_tests: ${result}\n${lines}${said}")
    endif()
    evio_fold_tests("${lines}" filters)
    set(text)
    foreach(filter IN LISTS filters)
      string(REGEX REPLACE "/\\*$" "" name "${target}.${filter}")
      # A filter that matches nothing would pass.
      string(APPEND text "add_test(\"${name}\" \"${program}\" \"--gtest_filter=${filter}\" --gtest_brief=1)\n"
             "set_tests_properties(\"${name}\" PROPERTIES ${ARGN} FAIL_REGULAR_EXPRESSION \" 0 tests from 0 test suites ran\")\n")
    endforeach()
    file(WRITE "${list}" "${text}")
  endif()
  include("${list}")
endfunction()

# The filters `Suite.Name`, and `Suite.Name/*` of a test with parameters, of what --gtest_list_tests prints: a suite a line, and
# below each its tests, by two spaces to the right.
function(evio_fold_tests lines result)
  string(REGEX REPLACE " *#[^\n]*" "" lines "${lines}")
  string(REPLACE "\n" ";" lines "${lines}")
  set(filters)
  set(suite)
  foreach(line IN LISTS lines)
    if(line MATCHES "^([A-Za-z0-9_/]+)\\.$")
      set(suite "${CMAKE_MATCH_1}")
    elseif(line MATCHES "^  ([A-Za-z0-9_]+)/")
      list(APPEND filters "${suite}.${CMAKE_MATCH_1}/*")
    elseif(line MATCHES "^  ([A-Za-z0-9_]+)$")
      list(APPEND filters "${suite}.${CMAKE_MATCH_1}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES filters)
  set(${result} "${filters}" PARENT_SCOPE)
endfunction()
