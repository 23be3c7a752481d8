#include "codegen/cuda/assembly.h"

#include <algorithm>
#include <charconv>

namespace tecc {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}
std::string_view word(std::string_view s) { return s.substr(0, s.find_first_of(" \t;,")); }
/// What stands behind the first blank; nothing where there is none.
std::string_view behind_word(std::string_view s) { return s.substr(std::min(s.find_first_of(" \t"), s.size())); }
template <class F>
void for_each_line(std::string_view text, F f) {
  for (std::size_t n = 0; !text.empty(); ++n) {
    const std::size_t end = text.find('\n');
    f(n, text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

/// Branches name a label or an address; both are resolved at the end of a kernel.
struct Open {
  Assembly out;
  std::map<std::string, std::size_t, std::less<>> places;  // label or address -> instruction
  std::vector<std::string> goes_to;                        // of each instruction; empty: not a branch
};
void close(Open& now, std::vector<Assembly>& all) {
  for (std::size_t n = 0; n < now.out.instructions.size(); ++n)
    if (const auto found = now.places.find(now.goes_to[n]); found != now.places.end() && found->second < now.out.instructions.size()) now.out.instructions[n].target = found->second;
  if (!now.out.instructions.empty()) all.push_back(std::move(now.out));
  now = {};
}

bool is_branch(AssemblyKind kind, std::string_view opcode) { return kind == AssemblyKind::sass ? opcode == "BRA" || opcode.starts_with("BRA.") : opcode == "bra" || opcode.starts_with("bra."); }
bool ends(const Assembly& a, const Assembly::Instruction& i) {  // nothing follows it
  if (i.predicated) return false;
  if (is_branch(a.kind, i.opcode)) return i.opcode.find(".ANY") == std::string::npos && i.opcode.find(".DIV") == std::string::npos && i.opcode.find(".CONV") == std::string::npos;
  return a.kind == AssemblyKind::sass ? i.opcode == "EXIT" || i.opcode.starts_with("RET") || i.opcode.starts_with("BRX") : i.opcode == "ret" || i.opcode == "exit" || i.opcode.starts_with("brx");
}

}  // namespace

std::vector<Assembly> parse_sass(std::string_view text) {
  std::vector<Assembly> all;
  Open now;
  for_each_line(text, [&](std::size_t number, std::string_view full) {
    std::string_view line = trimmed(full);
    constexpr std::string_view function = "Function : ", section = ".text.";
    if (const auto at = line.find(function); at != std::string_view::npos) {  // cuobjdump
      close(now, all);
      now.out.kernel = std::string(trimmed(line.substr(at + function.size())));
      return;
    }
    if (line.starts_with(section) && line.ends_with(':')) {  // nvdisasm
      close(now, all);
      now.out.kernel = std::string(line.substr(section.size(), line.size() - section.size() - 1));
      return;
    }
    if (line.starts_with(".L_") && line.ends_with(':')) {
      now.places[std::string(line.substr(0, line.size() - 1))] = now.out.instructions.size();
      return;
    }
    const std::size_t close_comment = line.find("*/", 2);
    if (!line.starts_with("/*") || close_comment == std::string_view::npos || line.find(';') == std::string_view::npos) return;
    std::uint64_t address = 0;
    std::from_chars(line.data() + 2, line.data() + close_comment, address, 16);
    now.places[std::to_string(address)] = now.out.instructions.size();
    line = trimmed(line.substr(close_comment + 2));
    Assembly::Instruction i;
    i.line = number;
    if (line.starts_with('@')) {
      i.predicated = true;
      line = trimmed(behind_word(line));
    }
    i.opcode = std::string(word(line));
    std::string target;
    if (is_branch(AssemblyKind::sass, i.opcode)) {
      const std::string_view operands = line.substr(0, line.find(';'));
      if (const auto label = operands.find(".L_"); label != std::string_view::npos) {
        target = std::string(operands.substr(label, operands.find_first_of(") ,", label) - label));
      } else if (const auto hex = operands.rfind("0x"); hex != std::string_view::npos) {
        std::uint64_t to = 0;
        std::from_chars(operands.data() + hex + 2, operands.data() + operands.size(), to, 16);
        target = std::to_string(to);
      }
      // A branch on a uniform predicate or a further one goes on, too: "BRA P1, ..", "BRA.U !UP0, ..".
      i.predicated |= operands.find(',') != std::string_view::npos;
    }
    now.goes_to.push_back(target);
    now.out.instructions.push_back(std::move(i));
  });
  close(now, all);
  return all;
}

std::vector<Assembly> parse_ptx(std::string_view text) {
  std::vector<Assembly> all;
  Open now;
  bool inside = false;
  std::size_t braces = 0;  // opened so far: labels of inline assembly are its own, $ ones the kernel's
  const auto place = [&](std::string_view label) { return label.starts_with('$') ? std::string(label) : std::string(label) + " " + std::to_string(braces); };
  for_each_line(text, [&](std::size_t number, std::string_view full) {
    std::string_view line = trimmed(full);
    constexpr std::string_view entry = ".entry ";
    if (const auto at = line.find(entry); at != std::string_view::npos && !line.starts_with("//")) {
      close(now, all);
      now.out.kind = AssemblyKind::ptx;
      now.out.kernel = std::string(line.substr(at + entry.size(), line.find('(') - at - entry.size()));
      return;
    }
    if (line == "{" && !now.out.kernel.empty()) inside = true;
    braces += static_cast<std::size_t>(std::count(line.begin(), line.end(), '{')) * (line.starts_with('{') ? 1 : 0);
    if (!inside || line.empty() || line.starts_with("//") || line.starts_with('.')) return;
    if (line.ends_with(':')) {
      now.places[place(line.substr(0, line.size() - 1))] = now.out.instructions.size();
      return;
    }
    // Inline assembly stands in braces, perhaps several instructions in a line.
    while (!line.empty()) {
      std::string_view one = line.substr(0, line.find(';'));
      const bool ended = one.size() < line.size();
      line.remove_prefix(ended ? one.size() + 1 : line.size());
      one = trimmed(one);
      while (one.starts_with('{') || one.starts_with('}')) one = trimmed(one.substr(1));
      if (one.empty() || one.starts_with('.') || one.starts_with("//") || !ended) continue;
      Assembly::Instruction i;
      i.line = number;
      if (one.starts_with('@')) {
        i.predicated = true;
        one = trimmed(behind_word(one));
      }
      i.opcode = std::string(word(one));
      const auto label = one.find_last_of(" \t");
      now.goes_to.push_back(is_branch(AssemblyKind::ptx, i.opcode) && label != std::string_view::npos ? place(one.substr(label + 1)) : std::string());
      now.out.instructions.push_back(std::move(i));
    }
  });
  close(now, all);
  return all;
}

std::vector<AssemblyLoop> loops_of(const Assembly& a) {
  const std::size_t n = a.instructions.size();
  // Basic blocks, and the ways between them.
  std::vector<bool> leads(n + 1, false);
  if (n) leads[0] = true;
  for (std::size_t i = 0; i < n; ++i) {
    if (a.instructions[i].target) leads[*a.instructions[i].target] = leads[i + 1] = true;
    else if (ends(a, a.instructions[i])) leads[i + 1] = true;
  }
  std::vector<std::size_t> first, block(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (leads[i]) first.push_back(i);
    block[i] = first.size() - 1;
  }
  const std::size_t blocks = first.size();
  std::vector<std::vector<std::size_t>> before(blocks);
  std::vector<std::pair<std::size_t, std::size_t>> ways;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t last = (b + 1 < blocks ? first[b + 1] : n) - 1;
    const Assembly::Instruction& i = a.instructions[last];
    if (i.target) ways.emplace_back(b, block[*i.target]);
    if (!ends(a, i) && last + 1 < n) ways.emplace_back(b, block[last + 1]);
  }
  for (const auto& [from, to] : ways) before[to].push_back(from);
  // Which blocks every way from the entry passes (dominators), by repeated intersection.
  std::vector<std::vector<bool>> passes(blocks, std::vector<bool>(blocks, true));
  if (blocks) passes[0].assign(blocks, false), passes[0][0] = true;
  for (bool more = true; more;) {
    more = false;
    for (std::size_t b = 1; b < blocks; ++b) {
      std::vector<bool> all(blocks, !before[b].empty());
      for (const std::size_t p : before[b])
        for (std::size_t x = 0; x < blocks; ++x) all[x] = all[x] && passes[p][x];
      all[b] = true;
      if (all != passes[b]) passes[b] = all, more = true;
    }
  }
  std::vector<bool> runs(blocks, false);  // what nothing leads to is padding
  std::vector<std::size_t> next = {0};
  while (blocks && !next.empty()) {
    const std::size_t b = next.back();
    next.pop_back();
    if (runs[b]) continue;
    runs[b] = true;
    for (const auto& [from, to] : ways)
      if (from == b) next.push_back(to);
  }
  // "BRA.U.ANY" goes back until every thread of the warp has had its turn: once, where they agree.
  const auto is_turn = [&](std::size_t b) { return a.instructions[(b + 1 < blocks ? first[b + 1] : n) - 1].opcode.find(".ANY") != std::string::npos; };
  std::map<std::size_t, std::vector<bool>> bodies;  // by the block that is branched back to
  for (const auto& [from, to] : ways) {
    if (!passes[from][to] || !runs[from] || is_turn(from)) continue;
    std::vector<bool>& body = bodies.try_emplace(to, blocks, false).first->second;
    body[to] = true;
    std::vector<std::size_t> todo = {from};
    while (!todo.empty()) {
      const std::size_t b = todo.back();
      todo.pop_back();
      if (body[b]) continue;
      body[b] = true;
      todo.insert(todo.end(), before[b].begin(), before[b].end());
    }
  }
  std::vector<AssemblyLoop> out;
  for (const auto& [head, body] : bodies) {
    AssemblyLoop l{first[head], {}};
    for (std::size_t i = 0; i < n; ++i)
      if (body[block[i]]) l.members.push_back(i);
    out.push_back(std::move(l));
  }
  return out;
}

std::optional<AssemblyLoop> hot_loop(const Assembly& a) {
  const std::vector<AssemblyLoop> all = loops_of(a);
  const auto find = [&](auto counts) -> std::optional<AssemblyLoop> {
    const auto score = [&](const AssemblyLoop& l) { return std::count_if(l.members.begin(), l.members.end(), [&](std::size_t i) { return counts(work_of(a.kind, a.instructions[i].opcode)); }); };
    std::optional<AssemblyLoop> best;
    for (const AssemblyLoop& l : all) {
      const bool innermost = std::none_of(all.begin(), all.end(), [&](const AssemblyLoop& o) { return o.first != l.first && std::binary_search(l.members.begin(), l.members.end(), o.first) && score(o) > 0; });
      if (!innermost || score(l) == 0) continue;
      if (!best || score(l) > score(*best) || (score(l) == score(*best) && l.members.size() < best->members.size())) best = l;
    }
    return best;
  };
  if (auto best = find([](Work w) { return w == Work::matrix; })) return best;
  return find([](Work w) { return w == Work::bulk || w == Work::global || w == Work::shared || w == Work::local; });
}

std::vector<std::size_t> mix_of(const Assembly& a, const std::vector<std::size_t>* members) {
  std::vector<std::size_t> out(works, 0);
  const auto count = [&](std::size_t i) { ++out[static_cast<std::size_t>(work_of(a.kind, a.instructions[i].opcode))]; };
  if (members) std::for_each(members->begin(), members->end(), count);
  else for (std::size_t i = 0; i < a.instructions.size(); ++i) count(i);
  return out;
}

}  // namespace tecc
