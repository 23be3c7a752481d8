#include "tests/parsers/parsers.h"

#include <algorithm>
#include <filesystem>

#include "autotune/measure/inject.h"
#include "autotune/record/record.h"
#include "codegen/build.h"
#include "codegen/compile_from.h"
#include "codegen/cuda/assembly.h"
#include "codegen/cuda/cubin.h"
#include "codegen/cuda/emit.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/formula.h"
#include "compiler/memory/lifetime.h"
#include "ir/base/files.h"
#include "ir/loop/parse.h"
#include "runtime/npy.h"

namespace tecc::parsers {
namespace {

using Seeds = std::vector<std::string>;

const std::string root = TECC_SOURCE_DIR;
std::string file(const std::string& path) { return tecc::read_file(root + path).or_throw(); }
Seeds files(const std::string& folder, const std::string& ending, std::size_t most_bytes = 1 << 16) {
  Seeds out;
  for (const auto& f : std::filesystem::directory_iterator(root + folder))
    if (f.path().string().ends_with(ending) && f.file_size() <= most_bytes) out.push_back(file(folder + f.path().filename().string()));
  std::sort(out.begin(), out.end());
  return out;
}

/// Messages quote the input and show its line.
void rendered(const Refusal& why, const Source& source) { invariant(!render(why, source).empty(), "a refusal says something"); }
void rendered(const Refusal& why) { invariant(!message(why).empty(), "a refusal says something"); }

// ---- tensor expressions -----------------------------------------------------------------------------------------------------
void read_te(const std::string& text) {
  const Source source{intern("fuzz.te"), text};
  const auto kernels = te::parse(source);
  if (!kernels) return rendered(kernels.error(), source);
  for (const te::Kernel& k : *kernels) {
    const std::string once = te::print(k);
    const auto again = te::parse({intern("again.te"), once});
    invariant(again && te::print(again->at(0)) == once, "a printed kernel reads back");
  }
}
Seeds te_seeds() { return files("/examples/cases/", ".te"); }

/// The first line holds dims, ';' and types, the others a kernel: all that is proved of it before there is a program.
void read_bound(const std::string& input) {
  const std::size_t end = std::min(input.find('\n'), input.size()), middle = std::min(input.find(';'), end);
  const auto dims = te::parse_dims(input.substr(0, middle));
  const auto types = te::parse_type_bindings(middle < end ? input.substr(middle + 1, end - middle - 1) : "");
  if (!dims) return rendered(dims.error());
  if (!types) return rendered(types.error());
  const Source source{intern("fuzz.te"), input.substr(end)};
  const auto kernels = te::parse(source);
  if (!kernels) return;
  const auto workload = codegen::make_workload(kernels->front(), {*dims, *types});
  if (!workload) return rendered(workload.error(), source);
  const std::string once = print(workload->naive);
  const auto again = loop::parse({intern("again.ir"), once});
  invariant(again && print(*again) == once, "a naive program reads back");
}
Seeds bound_seeds() {
  Seeds out;
  for (const std::string& text : te_seeds()) {
    const te::Kernel k = te::parse({intern("seed.te"), text}).or_throw().at(0);
    std::string dims, types;
    for (const auto& ids : {k.dims, k.integers})
      for (VarId v : ids) dims += (dims.empty() ? "" : ",") + k[v].name + (dims.empty() ? "=1..64:8" : "=8");
    for (const std::string& t : k.type_parameters) types += (types.empty() ? "" : ",") + t + "=bf16";
    out.push_back(dims + ";" + types + "\n" + text);
  }
  return out;
}

// ---- schedules and programs -----------------------------------------------------------------------------------------------
struct Subject {
  const char *name, *schedule, *dims, *types, *arch;
};
constexpr Subject subjects[] = {{"gemm", "gemm_sm90a", "M=1..512,N=256,K=256", "T=bf16", "sm_90a"},
                                {"gemm", "gemm_mma", "M=256,N=256,K=256", "T=bf16", "sm_80"},
                                {"attention", "attention_sm90a", "B=1,H=1,S=256,L=256,D=64", "T=bf16", "sm_90a"},
                                {"softmax", "softmax_rows_sm90a", "M=8,N=4096", "T=bf16", "sm_90a"}};
codegen::Workload workload_of(const Subject& s) {
  const te::Kernel k = te::parse({intern(s.name), file("/examples/cases/" + std::string(s.name) + ".te")}).or_throw().at(0);
  return codegen::make_workload(k, {te::parse_dims(s.dims).or_throw(), te::parse_type_bindings(s.types).or_throw()}).or_throw();
}
std::string schedule_of(const Subject& s) { return file("/examples/schedules/" + std::string(s.schedule) + ".schedule"); }

void read_schedule(const std::string& text) {
  static const loop::Program naive = workload_of(subjects[0]).naive;
  const Source source{intern("fuzz.schedule"), text};
  const auto trace = schedule::parse(source, naive);
  if (!trace) return rendered(trace.error(), source);
  const std::string once = schedule::print(*trace, naive);
  const auto again = schedule::parse({intern("again.schedule"), once}, naive);
  invariant(again && schedule::print(*again, naive) == once && schedule::hash(*again) == schedule::hash(*trace), "a printed schedule reads back");
  if (const auto done = schedule::replay(naive, *trace); !done) rendered(done.error(), source);
}
Seeds schedule_seeds() {
  Seeds out;
  for (const Subject& s : subjects) out.push_back(schedule_of(s));
  return out;
}

void read_program(const std::string& text) {
  const Source source{intern("fuzz.ir"), text};
  const auto p = loop::parse(source);
  if (!p) return rendered(p.error(), source);
  const std::string once = print(*p);
  const auto again = loop::parse({intern("again.ir"), once});
  invariant(again && print(*again) == once, "a printed program reads back");
}
void read_stage(const std::string& text) {
  static const compiler::Limits limits = codegen::find_target("sm_90a").or_throw().limits;
  const Source source{intern("fuzz.ir"), text};
  if (const auto stage = compiler::parse_stage(source, limits); !stage) rendered(stage.error(), source);
}
Seeds stage_seeds() {
  Seeds out;
  for (const Subject& s : subjects) {
    const codegen::Workload w = workload_of(s);
    const compiler::Limits limits = codegen::find_target(s.arch).or_throw().limits;
    compiler::Stage stage{"scheduled", schedule::replay(w.naive, schedule::parse({intern(s.schedule), schedule_of(s)}, w.naive).or_throw()).or_throw().program};
    out.push_back(print(stage));
    for (const compiler::Pass& pass : compiler::gpu_pipeline()) {
      stage = {std::string(pass.name), pass.function(std::move(stage.program), limits).or_throw()};
      if (std::string text = print(stage); std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
    }
  }
  return out;
}

// ---- artifacts ------------------------------------------------------------------------------------------------------------
codegen::Built built_of(const Subject& s) {
  const codegen::Workload w = workload_of(s);
  return codegen::build(w, {{codegen::find_target(s.arch).or_throw(), schedule::parse({intern(s.schedule), schedule_of(s)}, w.naive).or_throw()}}, {.cubin = false, .ptx = false, .cuda = true}).or_throw();
}

void read_contract(const std::string& text) {
  const auto c = parse_contract(text, "fuzz.json");
  if (!c) return rendered(c.error());
  const auto again = parse_contract(to_json(*c), "again.json");
  invariant(again && *again == *c, "a printed contract reads back");
  if (const auto env = bind_dims(*c, {}); !env) rendered(env.error());
}
Seeds contract_seeds() {
  Seeds out;
  for (const Subject& s : subjects) out.push_back(to_json(built_of(s).contract));
  return out;
}
void read_cuda_text(const std::string& text) {
  const Source source{intern("fuzz.cu"), text};
  const auto cuda = codegen::parse_cuda(source);
  if (!cuda) return rendered(cuda.error(), source);
  invariant(codegen::is_cuda(source) && codegen::parse_cuda({intern("again.cu"), print(*cuda)}), "printed CUDA text reads back");
}
Seeds cuda_text_seeds() {
  const codegen::Built b = built_of(subjects[3]);
  return {print(codegen::CudaText{"__global__ void k() {}\n", b.contract})};
}

void read_formula(const std::string& text) {
  const auto f = Formula::parse(text);
  if (!f) return rendered(f.error());
  if (const auto value = f->evaluate({{"M", 7}, {"N", INT64_MAX}, {"K", INT64_MIN}, {"sm_count", 132}}); !value) rendered(value.error());
}
Seeds formula_seeds() { return {"ceildiv(M, 128) * ceildiv(N, 256)", "min(sm_count, max(1, M / 8 % 3)) - -K", "(M + 1) * 4", "0"}; }

void read_machine_code(const std::string& bytes) {
  if (const auto c = read_cubin(bytes, "fuzz.cubin"); !c) rendered(c.error());
}
/// A minimal ELF file of a kernel `k` with its .nv.info: section names, a table of symbols, sections, the table of sections.
std::string small_cubin() {
  const auto number = [](std::uint64_t v, int bytes) {
    std::string out;
    for (int n = 0; n < bytes; ++n, v >>= 8) out += static_cast<char>(v & 0xff);
    return out;
  };
  const std::string names("\0.shstrtab\0.symtab\0.text.k\0.nv.info\0k\0", 38);
  const std::string symbols = number(0, 24) + number(36, 24);
  const std::string info = std::string("\x04\x2f\x08\x00", 4) + number(1, 4) + number(32, 4) + std::string("\x04\x11\x08\x00", 4) + number(1, 4) + number(16, 4);
  std::string out(64, '\0');
  struct Row {
    std::uint64_t name, type, link;
    const std::string& bytes;
  };
  const std::string code(32, '\0');
  std::string table(64, '\0');
  for (const Row& r : {Row{1, 3, 0, names}, Row{11, 2, 1, symbols}, Row{19, 1, 0, code}, Row{27, 1, 0, info}}) {
    table += number(r.name, 4) + number(r.type, 4) + number(0, 16) + number(out.size(), 8) + number(r.bytes.size(), 8) + number(r.link, 4) + number(0, 20);
    out += r.bytes;
  }
  const std::string head = std::string("\x7f" "ELF\x02\x01\x01\x33\x07", 9) + std::string(9, '\0') + number(190, 2);
  out.replace(0, head.size(), head);
  out.replace(0x28, 8, number(out.size(), 8)).replace(0x30, 4, number(90, 4)).replace(0x3a, 6, number(64, 2) + number(5, 2) + number(1, 2));
  return out + table;
}
Seeds machine_code_seeds() { return {small_cubin()}; }

void read_assembly(const std::string& text) {
  for (const auto& all : {parse_sass(text), parse_ptx(text)})
    for (const Assembly& a : all) {
      const auto hot = hot_loop(a);
      (void)mix_of(a, hot ? &hot->members : nullptr);
    }
  (void)parse_ptxas_log(text);
}
Seeds assembly_seeds() {
  return {"\t\tFunction : k\n        /*0000*/                   MOV R1, c[0x0][0x28] ;\n        /*0010*/              @P0  BRA 0x0 ;\n        /*0020*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4] ;\n        /*0030*/                   BRA P1, 0x10 ;\n        /*0040*/                   EXIT ;\n",
          ".section .text.k\n.L_x_1:\n        /*0000*/ LDG.E R0, [R2] ;\n        /*0010*/ @!P0 BRA `(.L_x_1) ;\n",
          ".visible .entry k(\n\t.param .u64 p0\n)\n{\n\t.reg .b32 %r<5>;\n$L__BB0_1:\n\twgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {%f1}, %rd1;\n\t{ bra DONE;\nDONE: }\n\t@%p1 bra $L__BB0_1;\n\tret;\n}\n",
          "ptxas info    : Compiling entry function 'k' for 'sm_90a'\nptxas info    : Function properties for k\n    16 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads\nptxas info    : Used 168 registers, used 8 barriers, 1024 bytes smem\n"};
}

// ---- tuning, devices, data, options -----------------------------------------------------------------------------------------
void read_record(const std::string& text) {
  const auto r = autotune::parse_record(text, "fuzz.jsonl", 1);
  if (!r) return rendered(r.error());
  const auto again = autotune::parse_record(autotune::json_line(*r), "again.jsonl", 1);
  invariant(again && *again == *r, "a printed record reads back");
}
Seeds record_seeds() {
  autotune::Record r;
  r.workload = std::string(64, 'a');
  r.kernel = "gemm", r.dims = "M=64,N=64,K=64 T=bf16", r.target = "cuda/sm_90a/132", r.device = "NVIDIA H100 80GB HBM3";
  r.schedule = "i0, i1 = split(C.i, 8)\n", r.trace_hash = "0123456789abcdef", r.program_hash = std::string(64, 'b');
  r.genome = {{"C.sum.i threads", {32, 64, 128}, 64}};
  r.outcome = autotune::Measured{{1.5, 1.25}, {"GPU", cuda::ChipState{1755, {}, 612.5, 61, cuda::power_cap}}};
  r.seed = 7, r.tool = "0.1.0", r.features = 3, r.made = 1'700'000'000;
  Seeds out = {autotune::json_line(r)};
  r.outcome = autotune::Failed{autotune::Phase::compile, "E0606", "ptxas said \"no\""};
  out.push_back(autotune::json_line(r));
  return out;
}

void read_device(const std::string& text) {
  const auto t = codegen::parse_device_file(text, "fuzz.json");
  if (!t) return rendered(t.error());
  const auto again = codegen::parse_device_file(codegen::device_file(*t), "again.json");
  invariant(again && codegen::device_file(*again) == codegen::device_file(*t), "a printed device file reads back");
}
Seeds device_seeds() { return files("/targets/", ".json"); }

void read_npy(const std::string& bytes) {
  const auto t = parse_npy(bytes, "fuzz.npy");
  if (!t) return rendered(t.error());
  const auto again = parse_npy(npy_bytes(*t), "again.npy");
  invariant(again && again->shape == t->shape && again->bytes == t->bytes, "a written array reads back");
}
Seeds npy_seeds() {
  Seeds out;
  for (const DType type : {DType::f32, DType::i8, DType::boolean, DType::i64})
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, {3}, {2, 0, 5}, {2, 3, 4}}) out.push_back(npy_bytes(make_tensor(type, shape, "x").or_throw()));
  return out;
}

void read_lifetimes(const std::string& text) {
  const auto all = parse_lifetimes(text, "fuzz.csv");
  if (!all) return rendered(all.error());
  const auto again = parse_lifetimes(print_placed(*all, std::vector<std::int64_t>(all->size())), "again.csv");
  invariant(again && *again == *all && lower_bound(*again) == lower_bound(*all), "printed lifetimes read back");
}
Seeds lifetime_seeds() {
  Seeds out = files("/tests/data/minimalloc/", ".csv", 4000);
  out.emplace_back("id,lower,upper,size,alignment\nb1,0,3,4,16\nb2,-3,9,4,1\n");
  return out;
}

void read_options(const std::string& text) {
  if (const auto r = te::parse_dims(text); !r) rendered(r.error());
  if (const auto r = te::parse_type_bindings(text); !r) rendered(r.error());
  if (const auto r = te::parse_alignments(text); !r) rendered(r.error());
  if (const auto r = autotune::Injector::parse(text); !r) rendered(r.error());
}
Seeds option_seeds() { return {"M=4096,N=1..65536:8,stride=2", "T=bf16,U=f32", "X=4,Y=16", "compile:5,hang:5,wrong:2,die:2"}; }

constexpr Parser all[] = {
    {"te", read_te, te_seeds},
    {"bound", read_bound, bound_seeds},
    {"schedule", read_schedule, schedule_seeds},
    {"program", read_program, stage_seeds},
    {"stage", read_stage, stage_seeds},
    {"contract", read_contract, contract_seeds},
    {"cuda_text", read_cuda_text, cuda_text_seeds},
    {"formula", read_formula, formula_seeds},
    {"machine_code", read_machine_code, machine_code_seeds},
    {"assembly", read_assembly, assembly_seeds},
    {"record", read_record, record_seeds},
    {"device", read_device, device_seeds},
    {"npy", read_npy, npy_seeds},
    {"lifetimes", read_lifetimes, lifetime_seeds},
    {"options", read_options, option_seeds},
};

}  // namespace

std::span<const Parser> parsers() { return all; }

}  // namespace tecc::parsers
