#include "ir/base/shared_library.h"

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

// As libnvrtc does with libnvrtc-builtins: `outer` asks the loader for `inner` by its bare name, at its first use.
TEST_CASE("shared library: one found only by its absolute path finds its companion") {
  const TemporaryFolder f;
  std::ofstream(f.path + "/inner.c") << "int seven(void) { return 7; }\n";
  std::ofstream(f.path + "/outer.c") << "#include <dlfcn.h>\n"
                                        "int ask(void) {\n"
                                        "  void* inner = dlopen(\"libtecc_test_inner.so.1.2\", RTLD_NOW);\n"
                                        "  return inner ? ((int (*)(void))dlsym(inner, \"seven\"))() : -1;\n"
                                        "}\n";
  const std::string in = "cd " + f.path + " && cc -shared -fPIC -Wl,-soname,";
  if (std::system((in + "libtecc_test_inner.so.1.2 -o libtecc_test_inner.so.1.2 inner.c").c_str()) != 0 ||
      std::system((in + "libtecc_test_outer.so.1 -o libtecc_test_outer.so.1 outer.c").c_str()) != 0) {
    std::cout << "skipped: no C compiler\n";
    return;
  }
  const SharedLibrary outer({"libtecc_test_outer.so.1"}, {"", f.path});
  REQUIRE(outer);
  int (*ask)() = nullptr;
  REQUIRE(outer.find("ask", ask));
  CHECK(ask() == -1);
  CHECK_FALSE(outer.open_beside("libtecc_test_other.so"));
  CHECK(outer.open_beside("libtecc_test_inner.so.1.2"));
  CHECK(ask() == 7);
}

TEST_CASE("shared library: what does not open has nothing beside it") {
  const SharedLibrary none({"libtecc_test_nowhere.so"}, {"/nonexistent"});
  CHECK_FALSE(none);
  CHECK(none.error().starts_with("libtecc_test_nowhere.so: cannot open shared object file"));
  CHECK_FALSE(none.open_beside("libtecc_test_inner.so.1.2"));
}

}  // namespace
}  // namespace tecc
