#include "runtime/npy.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "ir/base/files.h"

namespace tecc {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie in the file");

struct NpyType {
  DType type;
  std::string_view descr;
};
constexpr NpyType npy_types[] = {{DType::f16, "<f2"}, {DType::f32, "<f4"}, {DType::f64, "<f8"},
                                 {DType::i8, "|i1"},  {DType::u8, "|u1"},  {DType::i16, "<i2"},
                                 {DType::i32, "<i4"}, {DType::i64, "<i8"}, {DType::boolean, "|b1"}};

std::optional<DType> type_of(std::string_view descr) {
  for (const NpyType& t : npy_types)  // the byte order of one-byte types says nothing: "<i1" is "|i1"
    if (t.descr == descr || (bytes_of(t.type) == 1 && descr.size() == 3 && (descr[0] == '<' || descr[0] == '=') &&
                             t.descr.substr(1) == descr.substr(1)))
      return t.type;
  return std::nullopt;
}

/// The header: a Python dictionary literal with exactly the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}
  std::string descr;
  std::optional<bool> fortran;
  std::optional<std::vector<std::int64_t>> shape;

  bool parse() {
    if (!take('{')) return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':')) return false;
      if (key == "descr" ? !string(descr) : key == "fortran_order" ? !boolean() : key == "shape" ? !tuple() : true)
        return false;
      if (!take(',') && peek() != '}') return false;
    }
    return !descr.empty() && fortran && shape && peek() == '\0';
  }

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool string(std::string& out) {
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    const std::size_t end = text_.find(quote, ++at_);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }
  bool boolean() {
    peek();
    for (const auto& [word, value] :
         {std::pair(std::string_view("True"), true), std::pair(std::string_view("False"), false)})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        fortran = value;
        return true;
      }
    return false;
  }
  bool tuple() {
    if (!take('(')) return false;
    shape.emplace();
    while (!take(')')) {
      std::int64_t n = 0;
      peek();
      const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), n);
      if (error != std::errc{} || n < 0) return false;
      at_ = static_cast<std::size_t>(stop - text_.data());
      shape->push_back(n);
      if (!take(',') && peek() != ')') return false;
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<HostTensor> parse_npy(std::string_view bytes, const std::string& name) {
  const auto bad = [&](std::string why) { return refuse(Code::npy_bad, name, std::move(why)); };
  if (!bytes.starts_with("\x93NUMPY")) return bad("it does not start as a .npy file does");
  if (bytes.size() < 10) return bad("it is truncated in its header");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) return bad(fmt::format("it has version {}, versions 1 to 3 are read", version));
  const std::size_t length_bytes = version == 1 ? 2 : 4, start = 8 + length_bytes;
  if (bytes.size() < start) return bad("it is truncated in its header");
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, length_bytes);
  if (bytes.size() - start < length) return bad("it is truncated in its header");

  HeaderParser header(bytes.substr(start, length));
  if (!header.parse()) return bad("its header is not a dictionary of descr, fortran_order and shape");
  const std::optional<DType> type = type_of(header.descr);
  if (!type)
    return bad(fmt::format("its dtype '{}' is not one of f2 f4 f8 i1 u1 i2 i4 i8 bool in little endian", header.descr));
  if (*header.fortran) return bad("it is in Fortran order; save it with numpy.ascontiguousarray");
  std::int64_t size = bytes_of(*type);
  for (const std::int64_t extent : *header.shape)
    if (__builtin_mul_overflow(size, extent, &size))
      return bad(fmt::format("its shape {} overflows 64 bits", shape_text(*header.shape)));
  const std::string_view data = bytes.substr(start + length);
  if (data.size() != static_cast<std::size_t>(size))
    return bad(fmt::format("it has {} bytes of data, shape {} needs {}", data.size(), shape_text(*header.shape), size));
  TECC_TRY(HostTensor out, make_tensor(*type, *header.shape, name));
  if (size > 0) std::memcpy(out.bytes.data(), data.data(), data.size());
  return out;
}

Result<HostTensor> read_npy(const std::string& path) {
  TECC_TRY(const std::string bytes, read_file(path));
  return parse_npy(bytes, path);
}

Result<HostTensor> read_npy_as(const std::string& path, const std::string& tensor, DType dtype,
                               const std::vector<std::int64_t>& shape) {
  TECC_TRY(const HostTensor file, read_npy(path));
  if (file.shape != shape) return refuse(Code::npy_shape, path, shape_text(file.shape), tensor, shape_text(shape));
  if (file.dtype != dtype && !(is_float(file.dtype) && is_float(dtype)))
    return refuse(Code::npy_bad, path,
                  fmt::format("it holds {}, '{}' needs {}", tecc::name(file.dtype), tensor, tecc::name(dtype)));
  return convert(file, dtype, tensor);
}

std::string npy_bytes(const HostTensor& tensor) {
  for (const NpyType& t : npy_types) {
    if (t.type != tensor.dtype) continue;
    std::string shape;
    for (const std::int64_t extent : tensor.shape) shape += fmt::format("{}{}", shape.empty() ? "" : ", ", extent);
    if (tensor.shape.size() == 1) shape += ",";
    std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", t.descr, shape);
    header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
    header += '\n';
    std::string out("\x93NUMPY\x01\x00", 8);
    out += static_cast<char>(header.size() & 0xff);
    out += static_cast<char>(header.size() >> 8);
    out += header;
    return out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  HostTensor wide{DType::f32, tensor.shape, std::vector<unsigned char>(static_cast<std::size_t>(tensor.count()) * 4)};
  for (std::int64_t i = 0; i < tensor.count(); ++i) wide.set(i, tensor.value(i));
  return npy_bytes(wide);
}

Check write_npy(const std::string& path, const HostTensor& tensor) { return write_file(path, npy_bytes(tensor)); }

}  // namespace tecc
