#include <algorithm>

#include "codegen/cuda/assembly.h"

/// What instructions are for, as tables: the first row whose word begins the opcode counts. SASS words after NVIDIA's "CUDA Binary
/// Utilities", instruction set reference; PTX words after the PTX ISA.
namespace tecc {
namespace {

struct Row {
  std::string_view begins;
  Work work;
};
// clang-format off
constexpr Row sass[] = {
    {"HGMMA", Work::matrix}, {"QGMMA", Work::matrix}, {"IGMMA", Work::matrix}, {"BGMMA", Work::matrix}, {"HMMA", Work::matrix}, {"IMMA", Work::matrix},
    {"QMMA", Work::matrix}, {"OMMA", Work::matrix}, {"DMMA", Work::matrix}, {"BMMA", Work::matrix}, {"UTCHMMA", Work::matrix}, {"UTCQMMA", Work::matrix}, {"UTCIMMA", Work::matrix}, {"UTCOMMA", Work::matrix},
    {"UTMALDG", Work::bulk}, {"UTMASTG", Work::bulk}, {"UTMAREDG", Work::bulk}, {"UBLKCP", Work::bulk}, {"UBLKRED", Work::bulk}, {"LDGSTS", Work::bulk},
    {"LDGDEPBAR", Work::barrier}, {"UTMACMDFLUSH", Work::barrier}, {"UTMACCTL", Work::barrier}, {"UTMAPF", Work::barrier},
    {"REDUX", Work::barrier}, {"LDG", Work::global}, {"STG", Work::global}, {"ATOMG", Work::global}, {"REDG", Work::global}, {"RED", Work::global}, {"ATOM", Work::global},
    {"LDSM", Work::shared}, {"STSM", Work::shared}, {"LDS", Work::shared}, {"STS", Work::shared}, {"ATOMS", Work::shared}, {"MOVM", Work::shared},
    {"LDL", Work::local}, {"STL", Work::local},
    {"LDC", Work::integer}, {"LDCU", Work::integer},  // constants: parameters and descriptors
    {"LD", Work::global}, {"ST", Work::global},
    {"HADD2.F32", Work::conversion}, {"FFMA", Work::arithmetic}, {"FADD", Work::arithmetic}, {"FMUL", Work::arithmetic}, {"FMNMX", Work::arithmetic}, {"FSEL", Work::arithmetic}, {"FSET", Work::arithmetic}, {"FCHK", Work::arithmetic},
    {"HFMA2", Work::arithmetic}, {"HADD2", Work::arithmetic}, {"HMUL2", Work::arithmetic}, {"HMNMX2", Work::arithmetic}, {"HSET", Work::arithmetic}, {"DFMA", Work::arithmetic}, {"DADD", Work::arithmetic}, {"DMUL", Work::arithmetic}, {"DSET", Work::arithmetic}, {"DMNMX", Work::arithmetic},
    {"UFADD", Work::arithmetic}, {"UFMUL", Work::arithmetic}, {"UFFMA", Work::arithmetic},
    {"MUFU", Work::special},
    {"F2", Work::conversion}, {"I2", Work::conversion}, {"FRND", Work::conversion}, {"PRMT", Work::conversion}, {"UPRMT", Work::conversion},
    {"MEMBAR", Work::barrier}, {"BAR", Work::barrier}, {"SYNCS", Work::barrier}, {"DEPBAR", Work::barrier}, {"WARPGROUP", Work::barrier}, {"FENCE", Work::barrier}, {"ERRBAR", Work::barrier}, {"CCTL", Work::barrier}, {"WARPSYNC", Work::barrier}, {"NANOSLEEP", Work::barrier}, {"UCGABAR", Work::barrier}, {"ACQBULK", Work::barrier}, {"PREEXIT", Work::barrier}, {"SHFL", Work::barrier}, {"VOTE", Work::barrier},
    {"BRA", Work::control}, {"BRX", Work::control}, {"BSSY", Work::control}, {"BSYNC", Work::control}, {"BREAK", Work::control}, {"EXIT", Work::control}, {"CALL", Work::control}, {"RET", Work::control}, {"NOP", Work::control}, {"ELECT", Work::control}, {"YIELD", Work::control}, {"KILL", Work::control}, {"BMOV", Work::control}, {"USETMAXREG", Work::control},
    {"IADD", Work::integer}, {"IMAD", Work::integer}, {"IMUL", Work::integer}, {"IMNMX", Work::integer}, {"VIMNMX", Work::integer}, {"IABS", Work::integer}, {"ISETP", Work::integer}, {"ISET", Work::integer}, {"LEA", Work::integer}, {"LOP", Work::integer}, {"SHF", Work::integer}, {"SHL", Work::integer}, {"SHR", Work::integer}, {"SEL", Work::integer}, {"MOV", Work::integer}, {"CS2R", Work::integer}, {"S2R", Work::integer}, {"S2UR", Work::integer}, {"R2UR", Work::integer}, {"P2R", Work::integer}, {"R2P", Work::integer}, {"PLOP", Work::integer}, {"SGXT", Work::integer}, {"FLO", Work::integer}, {"POPC", Work::integer}, {"BMSK", Work::integer}, {"BREV", Work::integer}, {"IDP", Work::integer}, {"VIADD", Work::integer},
    {"U", Work::integer},  // the same for a whole warp: UIADD3, UMOV, ULDC, ..
};
constexpr Row ptx[] = {
    {"wgmma.mma_async", Work::matrix}, {"mma.sync", Work::matrix}, {"wmma.mma", Work::matrix}, {"tcgen05.mma", Work::matrix},
    {"cp.async.bulk.commit", Work::barrier}, {"cp.async.bulk.wait", Work::barrier}, {"cp.async.commit", Work::barrier}, {"cp.async.wait", Work::barrier}, {"cp.async", Work::bulk}, {"cp.reduce.async", Work::bulk},
    {"ldmatrix", Work::shared}, {"stmatrix", Work::shared}, {"ld.shared", Work::shared}, {"st.shared", Work::shared}, {"ld.volatile.shared", Work::shared}, {"st.volatile.shared", Work::shared}, {"atom.shared", Work::shared},
    {"ld.local", Work::local}, {"st.local", Work::local}, {"ld.param", Work::integer}, {"ld.const", Work::integer},
    {"ld.", Work::global}, {"st.", Work::global}, {"atom", Work::global}, {"red.", Work::global}, {"ldu", Work::global}, {"prefetch", Work::barrier},
    {"ex2", Work::special}, {"lg2", Work::special}, {"sin", Work::special}, {"cos", Work::special}, {"tanh", Work::special}, {"rcp", Work::special}, {"rsqrt", Work::special}, {"sqrt", Work::special},
    {"cvt", Work::conversion}, {"prmt", Work::conversion},
    {"bar", Work::barrier}, {"mbarrier", Work::barrier}, {"membar", Work::barrier}, {"fence", Work::barrier}, {"wgmma", Work::barrier}, {"shfl", Work::barrier}, {"vote", Work::barrier}, {"redux", Work::barrier}, {"nanosleep", Work::barrier}, {"griddepcontrol", Work::barrier},
    {"bra", Work::control}, {"brx", Work::control}, {"ret", Work::control}, {"exit", Work::control}, {"call", Work::control}, {"setmaxnreg", Work::control}, {"elect", Work::control}, {"trap", Work::control},
};
// clang-format on

/// PTX arithmetic is told by its type: add.f32, fma.rn.bf16x2, add.s32.
Work typed(std::string_view opcode) {
  for (std::size_t at = opcode.find('.'); at != std::string_view::npos; at = opcode.find('.', at + 1)) {
    const std::string_view type = opcode.substr(at + 1);
    if (type.starts_with("f16") || type.starts_with("f32") || type.starts_with("f64") || type.starts_with("bf16")) return opcode.starts_with("mov") ? Work::integer : Work::arithmetic;
    if (type.starts_with('s') || type.starts_with('u') || type.starts_with('b') || type.starts_with("pred")) return Work::integer;
  }
  return Work::other;
}

}  // namespace

std::string_view name(Work w) {
  constexpr std::string_view names[works] = {"matrix", "bulk copies", "global memory", "shared memory", "local memory", "floating point", "special functions", "conversions", "integers and addresses", "barriers and shuffles", "control", "other"};
  return names[static_cast<std::size_t>(w)];
}

Work work_of(AssemblyKind kind, std::string_view opcode) {
  if (kind == AssemblyKind::sass) {
    for (const Row& r : sass)
      if (opcode.starts_with(r.begins)) return r.work;
    return Work::other;
  }
  for (const Row& r : ptx)
    if (opcode.starts_with(r.begins)) return r.work;
  return typed(opcode);
}

}  // namespace tecc
