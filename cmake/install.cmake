# What a user gets: the library, its headers, a CMake package, a pkg-config file and the licence. Both files find the rest relative to
# themselves, so that an installed tree may be moved.
include(CMakePackageConfigHelpers)

set(evio_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/evio)
install(TARGETS evio EXPORT evioTargets FILE_SET HEADERS)
install(EXPORT evioTargets NAMESPACE evio:: DESTINATION ${evio_cmake_dir})

set(evio_tls_type)
if(EVIO_TLS)
  get_target_property(evio_tls_type evio_tls TYPE)
  # An export of its own, for the component tls.
  install(TARGETS evio_tls EXPORT evioTlsTargets)
  install(EXPORT evioTlsTargets NAMESPACE evio:: DESTINATION ${evio_cmake_dir})
endif()

configure_package_config_file(cmake/evioConfig.cmake.in evioConfig.cmake INSTALL_DESTINATION ${evio_cmake_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(evioConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/evioConfig.cmake ${PROJECT_BINARY_DIR}/evioConfigVersion.cmake
        DESTINATION ${evio_cmake_dir})

file(RELATIVE_PATH evio_pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" evio_pc_prefix ${evio_pc_prefix})
file(RELATIVE_PATH evio_pc_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH evio_pc_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
get_target_property(evio_type evio TYPE)
if(evio_type STREQUAL STATIC_LIBRARY)
  set(evio_pc_libs "-levio -pthread")
else()
  set(evio_pc_libs "-levio")
endif()
configure_file(cmake/evio.pc.in evio.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/evio.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(EVIO_TLS)
  set(evio_tls_pc_requires)
  if(evio_tls_type STREQUAL STATIC_LIBRARY)
    set(evio_tls_pc_requires ", libssl >= 3, libcrypto >= 3")
  endif()
  configure_file(cmake/evio-tls.pc.in evio-tls.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/evio-tls.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
