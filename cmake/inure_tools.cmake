# Faster builds where the machine has the tools: ccache unless a launcher is given, and mold.
find_program(INURE_CCACHE ccache)
if(INURE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached only with these leniences.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${INURE_CCACHE})
endif()
find_program(INURE_MOLD mold)
if(INURE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
mark_as_advanced(INURE_CCACHE INURE_MOLD)
