#include "ir/base/shared_library.h"

#include <dlfcn.h>

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

void* SharedLibrary::address(const char* symbol) const { return handle_ ? dlsym(handle_, symbol) : nullptr; }

}  // namespace tecc
