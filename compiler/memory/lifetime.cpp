#include "compiler/memory/lifetime.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "ir/base/errors.h"

namespace tecc {
namespace {

constexpr std::array<std::string_view, 4> leading_columns = {"id", "lower", "upper", "size"};

struct Field {
  std::string_view text;
  std::uint32_t column;  // of its first character, from 1
};

std::vector<Field> split_fields(std::string_view line) {
  std::vector<Field> fields;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    fields.push_back({line.substr(begin, end - begin), static_cast<std::uint32_t>(begin + 1)});
    if (end == line.size()) return fields;
    begin = end + 1;
  }
}

Result<std::int64_t> parse_integer(const Field& field, std::string_view name, CallSite site) {
  std::int64_t value = 0;
  const char* const end = field.text.data() + field.text.size();
  const auto [stop, error] = std::from_chars(field.text.data(), end, value);
  site.column = field.column;
  if (stop != end || error == std::errc::invalid_argument)
    return at(site, refuse(Code::lifetimes_integer, std::string(name), std::string(field.text)));
  if (error != std::errc())
    return at(site, refuse(Code::lifetimes_overflow, std::string(name), std::string(field.text)));
  return value;
}

/// The place of `alignment` among the columns, if it is there.
Result<std::optional<std::size_t>> parse_header(std::string_view line, const std::vector<Field>& fields,
                                                CallSite site) {
  for (std::size_t i = 0; i < leading_columns.size(); ++i)
    if (i >= fields.size() || fields[i].text != leading_columns[i])
      return at(site, refuse(Code::lifetimes_header, std::string(line)));
  for (std::size_t i = leading_columns.size(); i < fields.size(); ++i)
    if (fields[i].text == "alignment") return std::optional(i);
  return std::optional<std::size_t>();
}

Result<Lifetime> parse_row(const std::vector<Field>& fields, std::optional<std::size_t> alignment, CallSite site) {
  const auto refused = [&](std::size_t field, Refusal why) {
    site.column = fields[field].column;
    return at(site, std::move(why));
  };
  Lifetime row;
  row.id = fields[0].text;
  TECC_TRY(row.lower, parse_integer(fields[1], "lower", site));
  TECC_TRY(row.upper, parse_integer(fields[2], "upper", site));
  TECC_TRY(row.size, parse_integer(fields[3], "size", site));
  if (alignment) {
    TECC_TRY(row.alignment, parse_integer(fields[*alignment], "alignment", site));
    if (row.alignment < 1) return refused(*alignment, refuse(Code::lifetimes_alignment, row.alignment));
  }
  if (row.upper <= row.lower) return refused(2, refuse(Code::lifetimes_interval, row.lower, row.upper));
  if (row.size < 0) return refused(3, refuse(Code::lifetimes_size, row.size));
  return row;
}

}  // namespace

Result<std::vector<Lifetime>> parse_lifetimes(std::string_view text, const char* file) {
  CallSite site{intern(file), 0, 0};
  std::vector<Lifetime> lifetimes;
  std::optional<std::size_t> columns, alignment;
  std::int64_t total = 0;
  while (!text.empty() || !columns) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++site.line;
    const std::vector<Field> fields = split_fields(line);
    if (!columns) {
      TECC_TRY(alignment, parse_header(line, fields, site));
      columns = fields.size();
      continue;
    }
    if (line.empty()) continue;
    if (fields.size() != *columns) return at(site, refuse(Code::lifetimes_columns, fields.size(), *columns));
    TECC_TRY(Lifetime row, parse_row(fields, alignment, site));
    if (row.size > total_bytes_limit - total || row.alignment - 1 > total_bytes_limit - total - row.size)
      return at({site.file, site.line, fields[3].column}, refuse(Code::lifetimes_total, total_bytes_limit));
    total += row.size + (row.alignment - 1);
    lifetimes.push_back(std::move(row));
  }
  return lifetimes;
}

Result<std::vector<Lifetime>> read_lifetimes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return refuse(Code::file_unreadable, path, std::string(std::strerror(errno)));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return refuse(Code::file_unreadable, path, std::string("the read broke off"));
  return parse_lifetimes(text, path.c_str());
}

std::string print_placed(std::span<const Lifetime> lifetimes, std::span<const std::int64_t> offsets) {
  invariant(lifetimes.size() == offsets.size(), "one offset a lifetime");
  const bool aligned = std::ranges::any_of(lifetimes, [](const Lifetime& l) { return l.alignment != 1; });
  std::string out = aligned ? "id,lower,upper,size,alignment,offset\n" : "id,lower,upper,size,offset\n";
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    const Lifetime& l = lifetimes[i];
    fmt::format_to(std::back_inserter(out), "{},{},{},{},", l.id, l.lower, l.upper, l.size);
    if (aligned) fmt::format_to(std::back_inserter(out), "{},", l.alignment);
    fmt::format_to(std::back_inserter(out), "{}\n", offsets[i]);
  }
  return out;
}

std::int64_t lower_bound(std::span<const Lifetime> lifetimes) {
  struct Event {
    std::int64_t time, change;
  };
  std::vector<Event> events;
  events.reserve(2 * lifetimes.size());
  for (const Lifetime& l : lifetimes) {
    events.push_back({l.lower, l.size});
    events.push_back({l.upper, -l.size});
  }
  // Deaths before births at the same time: the intervals are half-open.
  std::ranges::sort(
      events, [](const Event& a, const Event& b) { return a.time != b.time ? a.time < b.time : a.change < b.change; });
  std::int64_t live = 0, peak = 0;
  for (const Event& e : events) peak = std::max(peak, live += e.change);
  return peak;
}

}  // namespace tecc
