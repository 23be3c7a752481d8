#include "runtime/bind.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "ir/base/files.h"
#include "ir/numeric.h"

namespace tecc {
namespace {

bool is_callers(const ContractBuffer& b) {
  return b.role == Role::input || b.role == Role::inout || b.role == Role::output;
}
bool is_written(const ContractBuffer& b) { return b.role == Role::inout || b.role == Role::output; }

bool may_share(const ContractBuffer& a, const ContractBuffer& b) {
  return a.may_alias == b.name || b.may_alias == a.name;
}

template <class T> ScalarBits bits_of(T value) {
  ScalarBits out;
  std::memcpy(out.bytes, &value, sizeof value);
  return out;
}

double as_double(const ScalarValue& v) {
  return std::visit([](auto x) { return static_cast<double>(x); }, v);
}
std::int64_t as_integer(const ScalarValue& v, DType type) {
  if (const auto* i = std::get_if<std::int64_t>(&v)) return *i;
  return to_integer(std::get<double>(v), type);
}

}  // namespace

Check check_buffers(const Contract& c, const Env& env, const Binding& binding) {
  struct Extent {
    const ContractBuffer* buffer;
    std::uint64_t first, end;
  };
  std::vector<Extent> seen;
  for (const ContractBuffer& b : c.buffers) {
    const auto unusable = [&](std::string why) {
      return refuse(Code::buffer_unusable, b.name, c.name, std::move(why));
    };
    if (b.role == Role::scalar && !binding.scalars.contains(b.name)) return unusable("is a scalar that was not given");
    if (!is_callers(b)) continue;
    const auto given = binding.buffers.find(b.name);
    if (given == binding.buffers.end()) return unusable("was not given");
    const auto [address, bytes] = given->second;
    TECC_TRY(const std::int64_t needed, evaluate(size_formula(c, b), env));
    if (bytes < needed) return unusable(fmt::format("has {} bytes and needs {}", bytes, needed));
    if (needed > 0 && address == 0) return unusable("has no memory");
    if (address % static_cast<std::uint64_t>(b.align) != 0)
      return unusable(fmt::format("is not {}-byte aligned", b.align));
    const Extent extent{&b, address, address + static_cast<std::uint64_t>(needed)};
    for (const Extent& other : seen) {
      const bool meet = extent.first < other.end && other.first < extent.end;
      if (meet && (is_written(b) || is_written(*other.buffer)) && !may_share(b, *other.buffer))
        return unusable(fmt::format("overlaps '{}'", other.buffer->name));
    }
    seen.push_back(extent);
  }
  return Ok{};
}

ScalarBits scalar_bits(DType type, const ScalarValue& value) {
  if (type == DType::f64) return bits_of(as_double(value));
  if (is_float(type)) return bits_of(static_cast<float>(round_to(as_double(value), type)));
  if (type == DType::boolean) return bits_of(static_cast<std::int64_t>(as_double(value) != 0));
  return bits_of(wrap(as_integer(value, type), type));
}

Result<ScalarBits> scalar_bits(const ScalarArg& arg, const Contract& c, const Env& env, const Binding& binding) {
  ScalarValue value;
  if (const auto* text = std::get_if<std::string>(&arg.value)) {
    const ContractBuffer* b = c.find_buffer(*text);
    if (b && b->role == Role::scalar) {
      const auto given = binding.scalars.find(*text);
      if (given == binding.scalars.end())
        return refuse(Code::buffer_unusable, *text, c.name, "is a scalar that was not given");
      value = given->second;
      // the caller's value is one of the buffer's own type before it is the parameter's
      if (is_float(*b->dtype)) value = round_to(as_double(value), *b->dtype);
    } else {
      TECC_TRY(value, evaluate(*text, env));
    }
  } else if (const auto* i = std::get_if<std::int64_t>(&arg.value)) {
    value = *i;
  } else {
    value = std::get<double>(arg.value);
  }
  if (arg.type == DType::i32) {
    const std::int64_t n = as_integer(value, DType::i64);
    if (n < std::numeric_limits<std::int32_t>::min() || n > std::numeric_limits<std::int32_t>::max())
      return refuse(
          Code::formula_value,
          std::holds_alternative<std::string>(arg.value) ? std::get<std::string>(arg.value) : std::to_string(n),
          "it does not fit the 32 bits of its argument");
  }
  return scalar_bits(arg.type, value);
}

Result<std::string> constant_bytes(const ContractBuffer& b, const std::string& folder, const Env& env) {
  const std::string path = folder + "/" + b.file.value_or("");
  TECC_TRY(const std::string all, read_file(path));
  TECC_TRY(const std::int64_t offset, evaluate(b.offset, env));
  TECC_TRY(const std::int64_t bytes, evaluate(b.bytes, env));
  const std::int64_t size = static_cast<std::int64_t>(all.size());
  if (offset < 0 || bytes < 0 || offset > size || bytes > size - offset)
    return refuse(Code::file_unreadable, path,
                  fmt::format("it has {} bytes, '{}' needs {} from {}", size, b.name, bytes, offset));
  return all.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes));
}

}  // namespace tecc
