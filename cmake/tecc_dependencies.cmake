# Everything comes from the distribution's packages (scripts/install-deps.sh); nothing is downloaded here.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
# Debian's libxgboost-dev has no CMake package.
find_path(XGBOOST_INCLUDE_DIR xgboost/c_api.h REQUIRED)
find_library(XGBOOST_LIBRARY xgboost REQUIRED)
add_library(tecc_xgboost INTERFACE)
target_include_directories(tecc_xgboost INTERFACE ${XGBOOST_INCLUDE_DIR})
target_link_libraries(tecc_xgboost INTERFACE ${XGBOOST_LIBRARY})

# The search makes and drops a hundred thousand small nodes a second: mimalloc in the place of malloc makes it a quarter faster. Linked
# first to programs, never to libraries, whose users choose their own; the sanitizers bring theirs.
add_library(tecc_allocator INTERFACE)
if(NOT TECC_SANITIZE)
  find_library(MIMALLOC_LIBRARY mimalloc REQUIRED)
  target_link_libraries(tecc_allocator INTERFACE ${MIMALLOC_LIBRARY})
endif()

# LLVM 19: one shared library, or the components that the CPU back end needs, linked in.
find_package(LLVM 19.1 REQUIRED CONFIG PATHS /usr/lib/llvm-19)
if(TECC_STATIC_LLVM)
  llvm_map_components_to_libnames(tecc_llvm_libraries native orcjit passes bitreader bitwriter)
else()
  set(tecc_llvm_libraries LLVM)
endif()
