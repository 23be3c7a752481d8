#include "ir/base/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>

namespace tecc {

SharedLibrary::SharedLibrary(std::initializer_list<const char*> names, std::initializer_list<std::string> folders) {
  const auto open = [&](const std::string& path) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle_ && error_.empty()) {
      const char* why = dlerror();  // the loader's first words: they name the library a user would look for
      error_ = why ? why : path + " does not open";
    }
    return handle_ != nullptr;
  };
  for (const char* name : names)
    if (open(name)) return;
  for (const std::string& folder : folders)
    for (const char* name : names)
      if (!folder.empty() && open(folder + "/" + name)) return;
}

bool SharedLibrary::open_beside(const std::string& name) const {
  link_map* here = nullptr;
  if (!handle_ || dlinfo(handle_, RTLD_DI_LINKMAP, &here) != 0) return false;
  return dlopen(std::filesystem::path(here->l_name).replace_filename(name).c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
}

void* SharedLibrary::address(const char* symbol) const { return handle_ ? dlsym(handle_, symbol) : nullptr; }

}  // namespace tecc
