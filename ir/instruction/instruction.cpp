#include "ir/instruction/instruction.h"

#include <algorithm>

namespace tecc {

namespace {

using loop::Via;
using Of = Piece::Of;

// clang-format off
constexpr Instruction table[] = {
    // name                              via            a            b            d           thr   m  n..       k  A reg/shared B   trans  since
    {"wgmma.k16.f32.bf16.bf16", Via::wgmma, DType::bf16, DType::bf16, DType::f32, 128, 64, 8, 256, 16, true, true, true, true, "sm_90a"},
    {"wgmma.k16.f32.f16.f16",   Via::wgmma, DType::f16,  DType::f16,  DType::f32, 128, 64, 8, 256, 16, true, true, true, true, "sm_90a"},
    {"wgmma.k8.f32.tf32.tf32",  Via::wgmma, DType::tf32, DType::tf32, DType::f32, 128, 64, 8, 256, 8,  true, true, true, false, "sm_90a"},
    {"wgmma.k32.f32.e4m3.e4m3", Via::wgmma, DType::e4m3, DType::e4m3, DType::f32, 128, 64, 8, 256, 32, true, true, true, false, "sm_90a"},
    {"wgmma.k32.f32.e4m3.e5m2", Via::wgmma, DType::e4m3, DType::e5m2, DType::f32, 128, 64, 8, 256, 32, true, true, true, false, "sm_90a"},
    {"wgmma.k32.f32.e5m2.e4m3", Via::wgmma, DType::e5m2, DType::e4m3, DType::f32, 128, 64, 8, 256, 32, true, true, true, false, "sm_90a"},
    {"wgmma.k32.f32.e5m2.e5m2", Via::wgmma, DType::e5m2, DType::e5m2, DType::f32, 128, 64, 8, 256, 32, true, true, true, false, "sm_90a"},
    {"wgmma.k32.s32.s8.s8",     Via::wgmma, DType::i8,   DType::i8,   DType::i32, 128, 64, 16, 256, 32, true, true, true, false, "sm_90a"},
    {"wgmma.k32.s32.u8.u8",     Via::wgmma, DType::u8,   DType::u8,   DType::i32, 128, 64, 16, 256, 32, true, true, true, false, "sm_90a"},
    {"mma.m16n8k16.f32.bf16.bf16", Via::mma_sync, DType::bf16, DType::bf16, DType::f32, 32, 16, 8, 8, 16, true, false, false, false, "sm_80"},
    {"mma.m16n8k16.f32.f16.f16",   Via::mma_sync, DType::f16,  DType::f16,  DType::f32, 32, 16, 8, 8, 16, true, false, false, false, "sm_80"},
    {"mma.m16n8k8.f32.tf32.tf32",  Via::mma_sync, DType::tf32, DType::tf32, DType::f32, 32, 16, 8, 8, 8,  true, false, false, false, "sm_80"},
    {"mma.m16n8k32.s32.s8.s8",     Via::mma_sync, DType::i8,   DType::i8,   DType::i32, 32, 16, 8, 8, 32, true, false, false, false, "sm_80"},
    {"mma.m16n8k32.s32.u8.u8",     Via::mma_sync, DType::u8,   DType::u8,   DType::i32, 32, 16, 8, 8, 32, true, false, false, false, "sm_80"},
    {"mma.m16n8k32.f32.e4m3.e4m3", Via::mma_sync, DType::e4m3, DType::e4m3, DType::f32, 32, 16, 8, 8, 32, true, false, false, false, "sm_89"},
    {"mma.m16n8k32.f32.e4m3.e5m2", Via::mma_sync, DType::e4m3, DType::e5m2, DType::f32, 32, 16, 8, 8, 32, true, false, false, false, "sm_89"},
    {"mma.m16n8k32.f32.e5m2.e4m3", Via::mma_sync, DType::e5m2, DType::e4m3, DType::f32, 32, 16, 8, 8, 32, true, false, false, false, "sm_89"},
    {"mma.m16n8k32.f32.e5m2.e5m2", Via::mma_sync, DType::e5m2, DType::e5m2, DType::f32, 32, 16, 8, 8, 32, true, false, false, false, "sm_89"},
};
// clang-format on

// clang-format off
constexpr InstructionName moves[] = {
    {"ldmatrix",    "sm_75",  "no copy_with: threads load"},
    {"stmatrix",    "sm_90",  "no copy_with: threads store"},
    {"cp_async",    "sm_80",  "no copy_with: threads copy through registers"},
    {"bulk",        "sm_90",  "no copy_with: threads copy"},
    {"bulk_tensor", "sm_90",  "no copy_with: threads copy"},
    {"cluster",     "sm_90",  "no cluster step"},
    {"multicast",   "sm_90",  "no cluster step: every block copies for itself"},
    {"mbarrier",    "sm_90",  "no specialize, and pipelines of plain copies with 2 slots"},
    {"setmaxnreg",  "sm_90a", "roles with registers=0"},
    {"griddepcontrol", "sm_90", "kernels that are not dependent: each begins when the one before has ended"},
};
// clang-format on

/// Elements of type `t` in a 32-bit register: neighbours along the depth.
std::int64_t packed(DType t) { return t == DType::tf32 || t == DType::f32 ? 1 : 4 / bytes_of(t); }

}  // namespace

std::span<const Instruction> instructions() { return table; }

std::span<const InstructionName> instruction_names() {
  static const std::vector<InstructionName> all = [] {
    std::vector<InstructionName> out;
    for (const Instruction& i : table) out.push_back({i.name, i.since, "other types, or no tensorize: plain loops"});
    out.insert(out.end(), std::begin(moves), std::end(moves));
    return out;
  }();
  return all;
}

bool came_with(std::string_view since, std::string_view arch) {
  if (since.ends_with('a')) return arch == since;
  const auto number = [](std::string_view name) {  // sm_90a -> 90
    int n = 0;
    for (char c : name)
      if (c >= '0' && c <= '9') n = 10 * n + (c - '0');
    return n;
  };
  return number(arch) >= number(since);
}

const Instruction* find_instruction(std::string_view name) {
  const auto* found = std::find_if(std::begin(table), std::end(table), [&](const Instruction& i) { return i.name == name; });
  return found == std::end(table) ? nullptr : found;
}

FragmentLayout accumulator_of(const Instruction& i, std::int64_t n) {
  FragmentLayout out{{Of::thread, 1, 4, 1, 2}, {Of::thread, 4, 8, 0, 1}};
  if (i.threads == 128) out.push_back({Of::thread, 32, 4, 0, 16});
  out.push_back({Of::reg, 1, 2, 1, 1});
  out.push_back({Of::reg, 2, 2, 0, 8});
  if (n > 8) out.push_back({Of::reg, 4, n / 8, 1, 8});
  return out;
}

FragmentLayout a_fragment_of(const Instruction& i) {
  const std::int64_t e = packed(i.a);  // a thread holds e neighbours at depth e*q, of rows g and g+8, and the same half the depth further
  FragmentLayout out{{Of::thread, 1, 4, 1, e}, {Of::thread, 4, 8, 0, 1}};
  if (i.threads == 128) out.push_back({Of::thread, 32, 4, 0, 16});
  if (e > 1) out.push_back({Of::reg, 1, e, 1, 1});
  out.push_back({Of::reg, e, 2, 0, 8});
  out.push_back({Of::reg, 2 * e, 2, 1, 4 * e});
  return out;
}

FragmentLayout b_fragment_of(const Instruction& i, std::int64_t n) {
  const std::int64_t e = packed(i.b);
  FragmentLayout out{{Of::thread, 1, 4, 1, e}, {Of::thread, 4, 8, 0, 1}};
  if (e > 1) out.push_back({Of::reg, 1, e, 1, 1});
  out.push_back({Of::reg, e, 2, 1, 4 * e});
  if (n > 8) out.push_back({Of::reg, 2 * e, n / 8, 0, 8});
  return out;
}

MatrixMove matrix_move(std::int64_t matrices) {
  MatrixMove out{matrices, {{Of::thread, 1, 4, 1, 2}, {Of::thread, 4, 8, 0, 1}, {Of::reg, 1, 2, 1, 1}}, {{Of::thread, 1, 8, 0, 1}}};
  if (matrices >= 2) {
    out.fragment.push_back({Of::reg, 2, 2, 0, 8});
    out.address.push_back({Of::thread, 8, 2, 0, 8});
  }
  if (matrices == 4) {
    out.fragment.push_back({Of::reg, 4, 2, 1, 8});
    out.address.push_back({Of::thread, 16, 2, 1, 8});
  }
  return out;
}

}  // namespace tecc
