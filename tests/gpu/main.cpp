// The GPU tests as a program of their own, which runs on a machine that has a GPU but no build of tecc (scripts/gpu-tests.sh).
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
