# What `cmake --install` adds to the rooms and the program: the package for find_package(inure).
include(CMakePackageConfigHelpers)

set(INURE_FIND_TORCH "")
if(INURE_WITH_TORCH)
  set(INURE_FIND_TORCH "find_dependency(Torch)")
endif()
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/inure)
configure_package_config_file(cmake/inureConfig.cmake.in ${CMAKE_BINARY_DIR}/inureConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/inureConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/inureConfig.cmake ${CMAKE_BINARY_DIR}/inureConfigVersion.cmake
              cmake/FindOpenCVImages.cmake DESTINATION ${package})
install(EXPORT inure NAMESPACE inure:: FILE inureTargets.cmake DESTINATION ${package})
