#include "runtime/npy.h"

#include <cmath>
#include <cstring>

#include "ir/base/errors.h"
#include "ir/base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace tecc {
namespace {

/// A version-1 file with this header text and data.
std::string npy(std::string header, const std::string& data = {}, char version = 1) {
  header += "\n";
  std::string out = std::string("\x93NUMPY") + version + '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  if (version > 1) out += std::string(2, '\0');
  return out + header + data;
}

TEST_CASE("npy: what numpy.save wrote is read; what is written is what numpy.save writes") {
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], "<i2")
  std::string file("\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }", 69);
  file.resize(127, ' ');
  file += '\n';
  for (char i = 1; i <= 6; ++i) file += std::string{i, '\0'};
  const HostTensor t = parse_npy(file, "x.npy").or_throw();
  CHECK(t.dtype == DType::i16);
  CHECK(t.shape == std::vector<std::int64_t>{2, 3});
  for (int i = 0; i < 6; ++i) CHECK(t.integer(i) == i + 1);
  CHECK(npy_bytes(t) == file);
}

TEST_CASE("npy: every type and rank survives the round trip") {
  const TemporaryFolder f;
  for (const DType type :
       {DType::f16, DType::f32, DType::f64, DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::boolean})
    for (const std::vector<std::int64_t>& shape :
         std::vector<std::vector<std::int64_t>>{{}, {5}, {1}, {0, 3}, {2, 1, 3}}) {
      HostTensor t = make_tensor(type, shape, "t").or_throw();
      for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(i) - 1);
      write_npy(f.path + "/t.npy", t).or_throw();
      const HostTensor back = read_npy(f.path + "/t.npy").or_throw();
      CHECK(back.dtype == type);
      CHECK(back.shape == shape);
      CHECK(back.bytes == t.bytes);
      CHECK(read_file(f.path + "/t.npy").or_throw().find('\n') % 64 == 63);  // the data starts aligned
    }
}

TEST_CASE("npy: bf16 and fp8 are written as f32; a float file becomes any float type") {
  const TemporaryFolder f;
  for (const DType type : {DType::bf16, DType::e4m3, DType::e5m2}) {
    HostTensor t = make_tensor(type, {3}, "t").or_throw();
    for (int i = 0; i < 3; ++i) t.set(i, 1.1 * i);
    write_npy(f.path + "/t.npy", t).or_throw();
    const HostTensor wide = read_npy(f.path + "/t.npy").or_throw();
    CHECK(wide.dtype == DType::f32);
    for (int i = 0; i < 3; ++i) CHECK(wide.value(i) == t.value(i));
    CHECK(read_npy_as(f.path + "/t.npy", "t", type, {3}).or_throw().bytes == t.bytes);
  }
}

TEST_CASE("npy: other spellings of the header that numpy accepts") {
  CHECK(parse_npy(npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"|u1\"}", "ab"), "x").or_throw().integer(1) ==
        'b');
  CHECK(parse_npy(npy("{'descr': '<i1', 'fortran_order': False, 'shape': ()}", "\xff", 2), "x").or_throw().integer(0) ==
        -1);
}

TEST_CASE("npy: E0608, whole texts") {
  const std::string i4 = "{'descr': '<i4', 'fortran_order': False, 'shape': ";
  const std::pair<std::string, const char*> rows[] = {
      {"", "it does not start as a .npy file does"},
      {"PK\x03\x04 an archive", "it does not start as a .npy file does"},
      {std::string("\x93NUMPY\x01\x00", 8), "it is truncated in its header"},
      {npy(i4 + "(2,), }").substr(0, 40), "it is truncated in its header"},
      {npy(i4 + "(2,), }", "1234", 4), "it has version 4, versions 1 to 3 are read"},
      {npy(i4 + "(2,), }", "1234567"), "it has 7 bytes of data, shape [2] needs 8"},
      {npy(i4 + "(2,), }", "123456789"), "it has 9 bytes of data, shape [2] needs 8"},
      {npy("{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }", "1234"),
       "its dtype '>i4' is not one of f2 f4 f8 i1 u1 i2 i4 i8 bool in little endian"},
      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "12345678"),
       "its dtype '<c8' is not one of f2 f4 f8 i1 u1 i2 i4 i8 bool in little endian"},
      {npy("{'descr': '<i4', 'fortran_order': True, 'shape': (1, 1), }", "1234"),
       "it is in Fortran order; save it with numpy.ascontiguousarray"},
      {npy(i4 + "(4611686018427387904, 4), }"), "its shape [4611686018427387904, 4] overflows 64 bits"},
      {npy(i4 + "(-1,), }"), "its header is not a dictionary of descr, fortran_order and shape"},
      {npy(i4 + "(99999999999999999999,), }"), "its header is not a dictionary of descr, fortran_order and shape"},
      {npy("{'descr': '<i4', 'shape': (1,), }", "1234"),
       "its header is not a dictionary of descr, fortran_order and shape"},
      {npy("{'descr': '<i4"), "its header is not a dictionary of descr, fortran_order and shape"},
      {npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,), }", "1234"),
       "its header is not a dictionary of descr, fortran_order and shape"},
  };
  for (const auto& [bytes, want] : rows) {
    const auto r = parse_npy(bytes, "x.npy");
    REQUIRE_FALSE(r);
    CHECK(render(r.error()) == std::string("error E0608: 'x.npy' is not a usable .npy file: ") + want);
  }
}

TEST_CASE("npy: E0609 for another shape, E0608 for another kind of type") {
  const TemporaryFolder f;
  const std::string path = f.path + "/x.npy";
  write_npy(path, make_tensor(DType::i32, {2, 3}, "x").or_throw()).or_throw();
  const auto shape = read_npy_as(path, "X", DType::i32, {3, 2});
  REQUIRE_FALSE(shape);
  CHECK(render(shape.error()) == "error E0609: '" + path + "' has shape [2, 3] but 'X' needs [3, 2]");
  const auto type = read_npy_as(path, "X", DType::f32, {2, 3});
  REQUIRE_FALSE(type);
  CHECK(render(type.error()) == "error E0608: '" + path + "' is not a usable .npy file: it holds i32, 'X' needs f32");
}

TEST_CASE("tensor: conversions are the casts of the language") {
  HostTensor t = make_tensor(DType::f64, {4}, "t").or_throw();
  const double in[] = {1e10, -2.7, std::nan(""), 0.1};
  for (int i = 0; i < 4; ++i) t.set(i, in[i]);
  const HostTensor i8 = convert(t, DType::i8, "t").or_throw();
  CHECK((i8.integer(0) == 127 && i8.integer(1) == -2 && i8.integer(2) == 0 && i8.integer(3) == 0));
  const HostTensor fp8 = convert(t, DType::e4m3, "t").or_throw();
  CHECK((fp8.value(0) == 448 && fp8.value(1) == -2.75 && std::isnan(fp8.value(2))));
  CHECK(convert(t, DType::f32, "t").or_throw().value(3) == static_cast<double>(0.1f));

  HostTensor big = make_tensor(DType::i64, {1}, "b").or_throw();
  big.set_integer(0, (std::int64_t{1} << 60) + 1);  // lost if it went through a double
  CHECK(convert(big, DType::i64, "b").or_throw().integer(0) == (std::int64_t{1} << 60) + 1);
  CHECK(convert(big, DType::i16, "b").or_throw().integer(0) == 1);
  CHECK(convert(big, DType::boolean, "b").or_throw().integer(0) == 1);
}

TEST_CASE("tensor: E0612 for sizes no memory has") {
  const auto overflow = make_tensor(DType::f32, {std::int64_t{1} << 40, std::int64_t{1} << 40}, "X");
  REQUIRE_FALSE(overflow);
  CHECK(render(overflow.error()) == "error E0612: cannot allocate [1099511627776, 1099511627776] x 4 bytes for 'X'");
  const auto large = make_tensor(DType::f32, {std::int64_t{1} << 60}, "X");
  REQUIRE_FALSE(large);
  CHECK(render(large.error()) == "error E0612: cannot allocate 4611686018427387904 bytes for 'X'");
}

}  // namespace
}  // namespace tecc
