# The three libraries of OpenCV that read, resize and write images, as opencv_core, opencv_imgcodecs
# and opencv_imgproc. Debian keeps OpenCVConfig.cmake in a package that brings all of OpenCV (with
# VTK, Qt and Java: some 500 MB); these three have small packages of their own, without it.
find_package(OpenCV QUIET CONFIG COMPONENTS core imgcodecs imgproc)
if(NOT TARGET opencv_imgcodecs)
  find_path(OpenCVImages_INCLUDE_DIR opencv2/imgcodecs.hpp PATH_SUFFIXES opencv4)
  set(OpenCVImages_needed OpenCVImages_INCLUDE_DIR)
  foreach(part core imgproc imgcodecs)
    find_library(OpenCVImages_${part}_LIBRARY opencv_${part})
    list(APPEND OpenCVImages_needed OpenCVImages_${part}_LIBRARY)
    mark_as_advanced(OpenCVImages_${part}_LIBRARY)
  endforeach()
  mark_as_advanced(OpenCVImages_INCLUDE_DIR)
else()
  set(OpenCVImages_needed OpenCV_DIR)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVImages REQUIRED_VARS ${OpenCVImages_needed})

if(OpenCVImages_FOUND AND NOT TARGET opencv_imgcodecs)
  foreach(part core imgproc imgcodecs)
    add_library(opencv_${part} UNKNOWN IMPORTED)
    set_target_properties(
      opencv_${part} PROPERTIES IMPORTED_LOCATION "${OpenCVImages_${part}_LIBRARY}"
                                INTERFACE_INCLUDE_DIRECTORIES "${OpenCVImages_INCLUDE_DIR}")
  endforeach()
endif()
