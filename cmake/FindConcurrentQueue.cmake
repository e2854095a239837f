# Finds moodycamel::ConcurrentQueue as Debian's libconcurrentqueue-dev installs it: headers in concurrentqueue/, no CMake
# configuration. Defines the target ConcurrentQueue::ConcurrentQueue.
find_path(ConcurrentQueue_INCLUDE_DIR concurrentqueue/concurrentqueue.h
          DOC "The folder that contains concurrentqueue/concurrentqueue.h")
mark_as_advanced(ConcurrentQueue_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  ConcurrentQueue REQUIRED_VARS ConcurrentQueue_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "on Debian it is in the package libconcurrentqueue-dev")

if(ConcurrentQueue_FOUND AND NOT TARGET ConcurrentQueue::ConcurrentQueue)
  add_library(ConcurrentQueue::ConcurrentQueue INTERFACE IMPORTED)
  set_target_properties(ConcurrentQueue::ConcurrentQueue PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
                                                                    ${ConcurrentQueue_INCLUDE_DIR})
endif()
