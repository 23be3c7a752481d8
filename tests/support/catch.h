#pragma once
// Debian 12 ships Catch2 v2, Ubuntu 24.04 v3: the one place that knows.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
namespace Catch {
using Approx = Detail::Approx;
}
#endif
