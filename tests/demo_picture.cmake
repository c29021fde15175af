# Draws the demo's picture from made-up figures.
#   cmake -DSOURCE=source folder -DBUILD=build folder -P demo_picture.cmake
set(folder ${BUILD}/demo_picture)
file(REMOVE_RECURSE ${folder})
file(MAKE_DIRECTORY ${folder})
file(WRITE ${folder}/accuracy.csv
     "rate,before retraining,retrained at 1e-4\n1e-6,87.5,87\n1e-5,80,86\n1e-4,40,85\n1e-3,12,60\n")
execute_process(COMMAND gnuplot -e "folder='${folder}'; float=88.1; exact=87.6" ${SOURCE}/scripts/demo.gnuplot
                RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE out)
if(NOT result EQUAL 0 OR NOT out STREQUAL "")
  message(FATAL_ERROR "gnuplot: ${result}\n${out}")
endif()
file(READ ${folder}/accuracy.svg svg)
foreach(text "before retraining" "retrained at 1e-4" "int8 without errors: 87.6 % (float: 88.1 %)")
  string(FIND "${svg}" "${text}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "the SVG does not say \"${text}\"")
  endif()
endforeach()
file(READ ${folder}/accuracy.png signature LIMIT 8 HEX)
file(SIZE ${folder}/accuracy.png size)
if(NOT signature STREQUAL "89504e470d0a1a0a" OR size LESS 10000)
  message(FATAL_ERROR "accuracy.png is no picture")
endif()
