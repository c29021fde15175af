# One room of the house: the sources in inure/NAME become the library inure::NAME, and the files in
# tests/NAME the program test_NAME. A .proto file in the room is compiled with it.
#
#   inure_room(NAME [TORCH] LINKS target...)

add_library(inure_warnings INTERFACE)
target_compile_options(inure_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)

function(inure_room name)
  cmake_parse_arguments(ROOM "TORCH" "" "LINKS" ${ARGN})
  set(target inure_${name})
  set(folder ${CMAKE_SOURCE_DIR}/inure/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  file(GLOB headers CONFIGURE_DEPENDS ${folder}/*.hpp)
  file(GLOB protos CONFIGURE_DEPENDS ${folder}/*.proto)
  if(NOT sources AND NOT protos)
    file(WRITE ${CMAKE_BINARY_DIR}/empty/${name}.cpp "")
    set(sources ${CMAKE_BINARY_DIR}/empty/${name}.cpp)
  endif()
  add_library(${target} STATIC ${sources} ${headers})
  add_library(inure::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(
    ${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}>
                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC ${ROOM_LINKS} PRIVATE $<BUILD_INTERFACE:inure_warnings>)
  # The same bits on every machine: no fused multiply-add where the processor happens to have one.
  target_compile_options(${target} PRIVATE -ffp-contract=off -fno-math-errno)
  inure_compile_protos(${target} ${name} "${protos}")
  if(ROOM_TORCH)
    inure_use_torch(${target})
  endif()
  install(TARGETS ${target} EXPORT inure DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/inure/${name}
          FILES_MATCHING PATTERN "*.hpp" PATTERN "*.proto")
  if(INURE_BUILD_TESTS)
    inure_room_tests(${name} "${ROOM_TORCH}")
  endif()
endfunction()

# Generated code is compiled apart: it does not pass our warnings.
function(inure_compile_protos target room protos)
  if(NOT protos)
    return()
  endif()
  set(out ${CMAKE_BINARY_DIR}/inure/${room})
  file(MAKE_DIRECTORY ${out})
  add_library(${target}_proto OBJECT)
  foreach(proto ${protos})
    get_filename_component(stem ${proto} NAME_WE)
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --cpp_out=${CMAKE_BINARY_DIR} --proto_path=${CMAKE_SOURCE_DIR} ${proto}
      DEPENDS ${proto})
    target_sources(${target}_proto PRIVATE ${out}/${stem}.pb.cc)
    target_sources(${target} PRIVATE ${out}/${stem}.pb.h)
    install(FILES ${out}/${stem}.pb.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/inure/${room})
  endforeach()
  target_include_directories(${target}_proto PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${target}_proto PRIVATE protobuf::libprotobuf)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_proto>)
endfunction()

# The torch headers take most of a minute a file: one precompiled header serves every target here.
function(inure_use_torch target)
  target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
  target_include_directories(${target} SYSTEM PUBLIC ${TORCH_INCLUDE_DIRS})
  if(target STREQUAL "inure_network")
    target_precompile_headers(${target} PRIVATE <torch/types.h> <ATen/ATen.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM inure_network)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "EXECUTABLE")  # the header serves only who compiles as inure_network does
      set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${target} PRIVATE -fPIC -ffp-contract=off -fno-math-errno)
    endif()
  endif()
endfunction()

function(inure_room_tests room torch)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${room}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${room} ${sources})
  target_link_libraries(test_${room} PRIVATE inure::${room} GTest::gtest GTest::gtest_main inure_warnings)
  target_compile_definitions(test_${room} PRIVATE INURE_SHARED_DATA="${CMAKE_SOURCE_DIR}/../shared/data")
  if(torch)
    inure_use_torch(test_${room})
  endif()
  include(GoogleTest)
  gtest_discover_tests(test_${room} TEST_PREFIX ${room}. DISCOVERY_TIMEOUT 60)
endfunction()
