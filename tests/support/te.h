#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "ir/te/kernel.h"
#include "tests/support/catch.h"

namespace tecc::test {

/// The value, or a failed test that prints the refusal.
template <class T> T require(Result<T> r) {
  if (!r) FAIL(render(r.error()));
  return *std::move(r);
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The `.te` examples by file name.
inline std::map<std::string, std::string> cases() {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(TECC_SOURCE_DIR "/examples/cases"))
    if (entry.path().extension() == ".te") out[entry.path().filename().string()] = read_file(entry.path());
  REQUIRE(out.size() >= 20);
  return out;
}

inline te::Kernel kernel(const std::string& text) { return require(te::parse({intern("test.te"), text})).at(0); }

/// kernel(text) bound, with dims and types in the tool's spelling.
inline Result<te::Bound> try_bind(const std::string& text, const std::string& dims, const std::string& types = "") {
  te::Bindings b;
  b.dims = require(te::parse_dims(dims));
  b.types = require(te::parse_type_bindings(types));
  return te::bind(kernel(text), b);
}
inline te::Bound bind(const std::string& text, const std::string& dims, const std::string& types = "") {
  return require(try_bind(text, dims, types));
}

/// The whole error a user would see, source line and caret included; "" if there is none.
inline std::string parse_error(const std::string& text) {
  const Source source{intern("test.te"), text};
  const auto r = te::parse(source);
  return r ? "" : render(r.error(), source);
}
inline std::string bind_error(const std::string& text, const std::string& dims, const std::string& types = "") {
  const auto r = try_bind(text, dims, types);
  return r ? "" : render(r.error(), {intern("test.te"), text});
}

}  // namespace tecc::test
