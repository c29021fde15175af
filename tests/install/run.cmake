# Installs the library into an empty folder, then builds and runs a project that knows only that.
#   cmake -DBUILD=build folder -DSOURCE=this folder -DWITH_TORCH=ON|OFF -P run.cmake
set(work ${BUILD}/install_test)
file(REMOVE_RECURSE ${work})

function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${out}")
  endif()
endfunction()

step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
step(${CMAKE_COMMAND} -S ${SOURCE} -B ${work}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
     -DCMAKE_PREFIX_PATH=${work}/prefix "-DCMAKE_CXX_FLAGS=${FLAGS}")
step(${CMAKE_COMMAND} --build ${work}/build)
step(${work}/build/consumer)
if(WITH_TORCH)
  step(${work}/prefix/bin/inure --help)
endif()
