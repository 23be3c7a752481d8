#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/result.h"

/// What a kernel's machine code does most often: its loops and the mix of instructions in the hot one.
namespace tecc {

enum class AssemblyKind : std::uint8_t { sass, ptx };

/// One kernel as text: cuobjdump -sass, nvdisasm -c, or PTX.
struct Assembly {
  struct Instruction {
    std::string opcode;     // with its modifiers: HGMMA.64x256x16.F32.BF16, wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16
    bool predicated = false;
    std::optional<std::size_t> target;  // of a branch: the instruction it goes to
    std::size_t line = 0;               // of the text, from 0
  };
  std::string kernel;
  AssemblyKind kind = AssemblyKind::sass;
  std::vector<Instruction> instructions;
};
std::vector<Assembly> parse_sass(std::string_view text);
std::vector<Assembly> parse_ptx(std::string_view text);

/// What instructions are for, from what a kernel is made of to what it must do besides.
enum class Work : std::uint8_t { matrix, bulk, global, shared, local, arithmetic, special, conversion, integer, barrier, control, other };
constexpr std::size_t works = 12;
std::string_view name(Work w);
Work work_of(AssemblyKind kind, std::string_view opcode);

/// A natural loop: a branch back to an instruction that every way into the loop passes.
struct AssemblyLoop {
  std::size_t first;                // the instruction that is branched back to
  std::vector<std::size_t> members;  // in order of the text
};
std::vector<AssemblyLoop> loops_of(const Assembly& a);
/// The innermost loop with the most matrix instructions, or where there are none with the most accesses to memory; the shortest of equals.
std::optional<AssemblyLoop> hot_loop(const Assembly& a);
/// How many instructions of each kind of work, of `members` or of all.
std::vector<std::size_t> mix_of(const Assembly& a, const std::vector<std::size_t>* members = nullptr);

/// The SASS of a cubin, where cuobjdump or nvdisasm is on PATH or in the toolkit that NVRTC came from; nullopt elsewhere.
struct Disassembly {
  std::string tool, text;
};
std::optional<Disassembly> disassemble(const std::string& cubin_path);

}  // namespace tecc
