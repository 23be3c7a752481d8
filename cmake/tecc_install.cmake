# What an installation holds: bin/tecc, headers, static libraries, find_package(tecc), tecc.pc, examples and docs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(tecc_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tecc)

install(TARGETS tecc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
get_property(tecc_libraries GLOBAL PROPERTY tecc_folders)
list(REMOVE_ITEM tecc_libraries tecc_python_free_cli)  # the tool is its only user
if(TARGET tecc_xgboost)
  list(APPEND tecc_libraries tecc_xgboost)
endif()
install(TARGETS ${tecc_libraries} EXPORT tecc-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT tecc-targets NAMESPACE tecc:: DESTINATION ${tecc_package_dir})
foreach(folder ir schedule compiler codegen runtime autotune)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tecc
          FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
endforeach()
# A user writes #include <tecc/dsl.h>.
install(FILES ${CMAKE_BINARY_DIR}/include/tecc/dsl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tecc)
install(TARGETS tecc_dsl ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})  # for C++ files as inputs of the tool

configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/tecc-config.cmake.in ${CMAKE_BINARY_DIR}/tecc-config.cmake
                              INSTALL_DESTINATION ${tecc_package_dir} PATH_VARS CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tecc-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tecc-config.cmake ${CMAKE_BINARY_DIR}/tecc-config-version.cmake
        ${CMAKE_SOURCE_DIR}/cmake/tecc_add_kernels.cmake DESTINATION ${tecc_package_dir})
configure_file(${CMAKE_SOURCE_DIR}/cmake/tecc.pc.in ${CMAKE_BINARY_DIR}/tecc.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tecc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Cost models by device class, which `tecc tune` looks for beside its own folder; a build's folder is laid out alike.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/targets/models DESTINATION ${CMAKE_INSTALL_DATADIR}/tecc)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share/tecc)
file(CREATE_LINK ${CMAKE_SOURCE_DIR}/targets/models ${CMAKE_BINARY_DIR}/share/tecc/models SYMBOLIC)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs ${CMAKE_SOURCE_DIR}/examples ${CMAKE_SOURCE_DIR}/targets DESTINATION ${CMAKE_INSTALL_DOCDIR}
        PATTERN "models" EXCLUDE)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TECC_RELOCATABLE)
  # The tool's own shared libraries travel with it; glibc's stay the system's, as a process can have only one of those.
  set_target_properties(tecc PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  target_link_options(tecc PRIVATE -Wl,--disable-new-dtags)  # RPATH, which libraries of the libraries follow too
  install(CODE "
    file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:tecc>\" RESOLVED_DEPENDENCIES_VAR needed
         POST_EXCLUDE_REGEXES \"/(ld-linux|libc|libm|libdl|libpthread|librt)[-.][^/]*$\")
    foreach(library \${needed})
      file(INSTALL \${library} DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\" FOLLOW_SYMLINK_CHAIN)
    endforeach()")
endif()

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME tecc)
set(CPACK_PACKAGE_VENDOR tecc)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Tensor expressions to tuned kernels")
set(CPACK_PACKAGE_FILE_NAME tecc-${PROJECT_VERSION}-Linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
include(CPack)
