#include "ir/base/errors.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <mutex>
#include <tuple>
#include <unordered_set>

namespace tecc {
namespace {

struct ErrorText {
  Code code;
  std::string_view name, text, explanation;
};
constexpr ErrorText texts[] = {
#define TECC_ERROR(number, name, text, explanation) {Code::name, #name, text, explanation},
#include "ir/base/errors/all.def"
#undef TECC_ERROR
};

const ErrorText& row(Code code) {
  for (const ErrorText& t : texts)
    if (t.code == code) return t;
  throw std::logic_error("an error code without a row");
}

std::string_view line_of(const std::string& text, std::uint32_t line) {
  std::size_t begin = 0;
  for (std::uint32_t n = 1; n < line; ++n) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) return {};
    begin = end + 1;
  }
  return std::string_view(text).substr(begin, text.find('\n', begin) - begin);
}

/// "\n  the line\n     ^" of a text, or nothing where it has no such line.
std::string excerpt(const std::string& text, CallSite at) {
  const std::string_view line = at.line ? line_of(text, at.line) : std::string_view();
  if (line.empty()) return {};
  constexpr std::size_t widest = 160;  // a generated line may be megabytes long
  const std::size_t column = at.column ? at.column - 1 : 0;
  const std::size_t first = column > widest / 2 ? column - widest / 2 : 0;
  std::string shown(line.substr(std::min(first, line.size()), widest));
  for (char& c : shown)
    if (c == '\t') c = ' ';
  std::string out = fmt::format("\n  {}", shown);
  if (at.column) out += fmt::format("\n  {}^", std::string(column - first, ' '));
  return out;
}

}  // namespace

const char* intern(const char* text) {
  static std::mutex mutex;
  static std::unordered_set<std::string> texts;  // node based: c_str() stays put
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

std::string number(Code code) {
  const int n = static_cast<int>(code);
  return fmt::format("{}{:04}", n / 100 == 9 ? 'B' : 'E', n);
}

std::string_view name(Code code) { return row(code).name; }

std::string message(const Refusal& why) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const Refusal::Arg& a : why.args) {
    if (const auto* i = std::get_if<std::int64_t>(&a)) store.push_back(*i);
    else if (const auto* s = std::get_if<std::string>(&a)) store.push_back(*s);
    else store.push_back(std::string());
  }
  return fmt::vformat(row(why.code).text, store);
}

std::string render(const Refusal& why) {
  std::string place;
  if (why.at.file) {
    place = why.at.file;
    if (why.at.line) place += fmt::format(":{}", why.at.line);
    if (why.at.column) place += fmt::format(":{}", why.at.column);
    place += ": ";
  }
  return fmt::format("{}error {}: {}", place, number(why.code), message(why));
}

CallSite written_at(CallSite place, const Source& source) {
  if (!place.file || std::string_view(place.file) != source.name || source.origins.empty()) return place;
  CallSite out = source.origins.front().at;
  for (const Source::Origin& o : source.origins)  // the last part that begins at or before the place
    if (std::tie(o.in_text.line, o.in_text.column) <= std::tie(place.line, place.column)) out = o.at;
  return out;
}

std::string render(const Refusal& why, const Source& source) {
  Refusal shown = why;
  shown.at = written_at(why.at, source);
  std::string out = render(shown);
  if (const auto file = source.files.find(shown.at.file ? shown.at.file : ""); file != source.files.end()) out += excerpt(file->second, shown.at);
  if (why.at.file && std::string_view(why.at.file) == source.name) out += excerpt(source.text, why.at);
  return out;
}

std::optional<std::string> explanation(std::string_view wanted) {
  for (const ErrorText& t : texts)
    if (number(t.code) == wanted || t.name == wanted)
      return fmt::format("{} ({})\n\n  {}\n\n{}\n", number(t.code), t.name, t.text, t.explanation);
  return std::nullopt;
}

void invariant_failed(std::string_view what, CallSite site) {
  throw std::logic_error(fmt::format("{}:{}: broken invariant: {} (this is a bug in tecc)", site.file, site.line, what));
}

}  // namespace tecc
