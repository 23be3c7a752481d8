#include "codegen/cuda/cubin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

/// A cubin is an ELF file (64 bit, little endian, machine 190). Beside the usual sections, .nv.info holds facts of all functions and
/// .nv.info.NAME those of a kernel, as records: format, attribute, then two bytes of value or, in format 4, of the payload's size.
namespace tecc {
namespace {

constexpr std::uint16_t cuda_machine = 190;
// Attributes ("EIATTR_..") as cuobjdump -elf names them.
constexpr std::uint8_t max_threads = 0x05, frame_size = 0x11, register_count = 0x2f, barrier_count = 0x4c;
constexpr std::uint8_t accelerator_target = 0x09;  // of .nv.compat: 1 for an architecture that ends in `a`
constexpr std::uint8_t with_payload = 4;  // the format of a record whose value does not fit into two bytes

/// Thrown and caught inside read_cubin only.
struct Unusable {
  std::string why;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T at(std::uint64_t offset) const {
    T out;
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) throw Unusable{fmt::format("it ends before byte {}", offset + sizeof(T))};
    std::memcpy(&out, bytes_.data() + offset, sizeof(T));
    return out;
  }
  std::string_view part(std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) throw Unusable{fmt::format("it ends before byte {}", offset + size)};
    return bytes_.substr(offset, size);
  }
  std::string text(std::uint64_t offset) const {
    const std::string_view rest = part(offset, bytes_.size() - std::min<std::uint64_t>(offset, bytes_.size()));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) throw Unusable{"a name has no end"};
    return std::string(rest.substr(0, end));
  }

 private:
  std::string_view bytes_;
};

struct Section {
  std::string name;
  std::uint32_t type;
  std::uint64_t offset, size;
  std::uint32_t link;
};

std::vector<Section> sections_of(const Reader& in) {
  const auto table = in.at<std::uint64_t>(0x28);
  const auto size = in.at<std::uint16_t>(0x3a), count = in.at<std::uint16_t>(0x3c), names = in.at<std::uint16_t>(0x3e);
  if (names >= count) throw Unusable{"its sections have no names"};
  const auto strings = in.at<std::uint64_t>(table + std::uint64_t{size} * names + 0x18);
  std::vector<Section> out;
  for (std::uint64_t n = 0; n < count; ++n) {
    const std::uint64_t row = table + n * size;
    out.push_back({in.text(strings + in.at<std::uint32_t>(row)), in.at<std::uint32_t>(row + 4), in.at<std::uint64_t>(row + 0x18), in.at<std::uint64_t>(row + 0x20), in.at<std::uint32_t>(row + 0x28)});
  }
  return out;
}

/// The records of an .nv.info section: attribute, and its value or payload as 32-bit words.
template <class F>
void for_each_record(const Reader& in, const Section& s, F f) {
  for (std::uint64_t at = s.offset; at < s.offset + s.size;) {
    const auto format = in.at<std::uint8_t>(at), attribute = in.at<std::uint8_t>(at + 1);
    const auto value = in.at<std::uint16_t>(at + 2);
    at += 4;
    std::vector<std::uint32_t> words;
    if (format == with_payload)
      for (std::uint64_t n = 0; n + 4 <= value; n += 4) words.push_back(in.at<std::uint32_t>(at + n));
    else words.push_back(value);
    if (format == with_payload) at += value;
    f(attribute, words);
  }
}

Cubin read(const Reader& in) {
  if (in.part(0, 4) != "\x7f" "ELF") throw Unusable{"it is no ELF file"};
  if (in.at<std::uint8_t>(4) != 2 || in.at<std::uint16_t>(0x12) != cuda_machine) throw Unusable{"it is an ELF file of another machine"};
  Cubin out;
  // The number of the architecture stands in the flags: since ABI version 8 in the second byte, before that in the first.
  const auto flags = in.at<std::uint32_t>(0x30);
  out.arch = fmt::format("sm_{}", in.at<std::uint8_t>(8) >= 8 ? flags >> 8 & 0xff : flags & 0xff);
  const std::vector<Section> sections = sections_of(in);
  std::vector<std::string> symbols;
  for (const Section& s : sections)
    if (s.type == 2 && s.link < sections.size())  // SHT_SYMTAB
      for (std::uint64_t n = 0; n < s.size / 24; ++n) symbols.push_back(in.text(sections[s.link].offset + in.at<std::uint32_t>(s.offset + 24 * n)));
  constexpr std::string_view text = ".text.", info = ".nv.info.", shared = ".nv.shared.";
  for (const Section& s : sections)
    if (s.name.starts_with(text)) out.kernels.push_back({s.name.substr(text.size()), 0, 0, 0, 0, 0, static_cast<std::int64_t>(s.size)});
  const auto kernel = [&](std::string_view name) {
    const auto found = std::find_if(out.kernels.begin(), out.kernels.end(), [&](const CubinKernel& k) { return k.name == name; });
    return found == out.kernels.end() ? nullptr : &*found;
  };
  for (const Section& s : sections) {
    const std::string_view name = s.name;
    if (name.starts_with(shared)) {
      if (CubinKernel* k = kernel(name.substr(shared.size()))) k->shared_bytes = static_cast<std::int64_t>(s.size);
    } else if (name == ".nv.compat") {
      for_each_record(in, s, [&](std::uint8_t attribute, const std::vector<std::uint32_t>& words) {
        if (attribute == accelerator_target && !words.empty() && words[0] == 1) out.arch += "a";
      });
    } else if (name == ".nv.info") {
      for_each_record(in, s, [&](std::uint8_t attribute, const std::vector<std::uint32_t>& words) {
        if (words.size() < 2 || words[0] >= symbols.size()) return;
        CubinKernel* k = kernel(symbols[words[0]]);
        if (k && attribute == register_count) k->registers = words[1];
        if (k && attribute == frame_size) k->stack_bytes = words[1];
      });
    } else if (name.starts_with(info)) {
      CubinKernel* k = kernel(name.substr(info.size()));
      if (!k) continue;
      for_each_record(in, s, [&](std::uint8_t attribute, const std::vector<std::uint32_t>& words) {
        if (attribute == barrier_count && !words.empty()) k->barriers = words[0] & 0xff;
        if (attribute == max_threads && words.size() == 3) k->most_threads = std::int64_t{words[0]} * words[1] * words[2];
      });
    }
  }
  if (out.kernels.empty()) throw Unusable{"it holds no kernel"};
  return out;
}

}  // namespace

Result<Cubin> read_cubin(std::string_view bytes, const std::string& file) {
  try {
    return read(Reader(bytes));
  } catch (const Unusable& u) {
    return refuse(Code::cubin_bad, file, u.why);
  }
}

}  // namespace tecc
