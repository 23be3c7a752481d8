#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "autotune/model/roofline.h"
#include "ir/base/files.h"
#include "python_free_cli/execute.h"
#include "python_free_cli/kernel_report.h"
#include "python_free_cli/task_report.h"

namespace tecc::cli {
namespace {

namespace fs = std::filesystem;
using autotune::Database;

/// Of --records, which must be there, or the default ones; none where nobody made those.
using Records = Result<std::optional<Database>>;

/// One document: kernels, and what bounds the work.
struct Report {
  std::string title;
  std::optional<codegen::Target> target;
  std::vector<KernelReport> kernels;
  std::optional<autotune::Roofline> roofline;
  std::optional<TaskReport> task;  // what is recorded of it
  std::string without;             // why something is missing
  void miss(const std::string& what) { without += (without.empty() ? "" : "; ") + what; }
};

std::string quantity(double n, const char* unit) {
  constexpr const char* prefixes[] = {"", "k", "M", "G", "T", "P"};
  std::size_t p = 0;
  while (n >= 1000 && p + 1 < std::size(prefixes)) n /= 1000, ++p;
  return fmt::format("{:.{}f} {}{}", n, p == 0 ? 0 : n < 10 ? 2 : 1, prefixes[p], unit);
}

/// The mix of statements of a loop program, where there is no machine code to read.
std::vector<std::size_t> statements_of(const loop::Program& p) {
  std::vector<std::size_t> out(works, 0);
  const auto add = [&](Work w) { ++out[static_cast<std::size_t>(w)]; };
  for (std::uint32_t n = 0; n < p.stmts.size(); ++n) {
    if (!p.stmts.has({n})) continue;
    const loop::Stmt& s = p[loop::StmtId{n}];
    if (s.as<loop::Barrier>() || s.as<loop::Sync>() || s.as<loop::Combine>()) add(Work::barrier);
  }
  for (loop::BlockId id : loop::all_blocks(p)) {
    const loop::Block& b = p.block(id);
    const loop::Via via = b.tile ? b.tile->via : loop::Via::plain;
    bool global = p[b.writes[0].buffer].scope == loop::Scope::global, shared = p[b.writes[0].buffer].scope == loop::Scope::shared;
    for (TensorId t : loop::read_buffers(b)) global |= p[t].scope == loop::Scope::global, shared |= p[t].scope == loop::Scope::shared;
    add(via == loop::Via::wgmma || via == loop::Via::mma_sync ? Work::matrix : is_asynchronous(via) ? Work::bulk : global ? Work::global : shared ? Work::shared : Work::arithmetic);
  }
  return out;
}

void add_code(KernelReport& k, const std::vector<Assembly>& all, const std::string& source) {
  for (const Assembly& a : all)
    if (a.kernel == k.name) {
      k.assembly = a;
      k.loop = hot_loop(a);
      k.source = source;
    }
}

Result<Report> of_cubin(const std::string& path) {
  TECC_TRY(const std::string bytes, read_file(path));
  TECC_TRY(const Cubin cubin, read_cubin(bytes, path));
  Report r;
  r.title = fmt::format("{}, for {}", path, cubin.arch);
  const auto sass = disassemble(path);
  const std::vector<Assembly> code = sass ? parse_sass(sass->text) : std::vector<Assembly>();
  for (const CubinKernel& c : cubin.kernels) {
    KernelReport k;
    k.name = c.name;
    k.cubin = c;
    add_code(k, code, sass ? "SASS of " + sass->tool : "");
    r.kernels.push_back(std::move(k));
  }
  if (!sass) r.miss("no instructions: cuobjdump and nvdisasm are not on PATH");
  r.miss("launches, bank conflicts and bounds are in the contract's report (tecc explain NAME.json)");
  return r;
}

/// The schedule of one variant: of several they stand in one file, each behind a line "# ARCH".
std::string part_of(const std::string& text, const Contract& c, const std::string& arch) {
  if (c.variants.size() == 1) return text;
  const std::string head = fmt::format("# {}\n", arch);
  std::size_t begin = text.starts_with(head) ? 0 : text.find("\n" + head);
  if (begin == std::string::npos) return "";
  begin = text.find('\n', begin == 0 ? 0 : begin + 1) + 1;
  const std::size_t end = text.find("\n# ", begin);
  return text.substr(begin, end == std::string::npos ? end : end + 1 - begin);
}

/// The schedule of a variant, which lies beside the contract.
Result<schedule::Trace> trace_of(const Contract& c, const std::string& folder, const codegen::Workload& w, const std::string& arch) {
  if (!c.schedule) return refuse(Code::file_unreadable, "the schedule", "the artifact was made by --compile-from");
  TECC_TRY(const std::string text, read_file(folder + "/" + *c.schedule));
  return schedule::parse({intern(c.schedule->c_str()), part_of(text, c, arch)}, w.naive);
}
/// The lowered program of a variant.
Result<loop::Program> program_of(const Contract& c, const std::string& folder, const codegen::Workload& w, const codegen::Target& target) {
  TECC_TRY(schedule::Trace trace, trace_of(c, folder, w, target.arch));
  return codegen::lowered(w, {target, std::move(trace)});
}

/// What is recorded of an artifact's task on chips of a family ("cuda/sm_90a/"; a CPU's contract does not say what --mcpu was: "cpu/"); says
/// what is missing otherwise. E05xx.
Check add_task(Report& r, const Records& records, const std::string& family, const Contract& c, const std::string& folder, const Result<codegen::Workload>& w, const std::string& arch) {
  if (!w) return Ok{};  // nobody knows whose records to look for; that is said already
  if (!records) return r.miss(fmt::format("no neighbours: {}", message(records.error()))), Ok{};
  if (!*records) return r.miss(fmt::format("no neighbours: there are no records in {}", Database::default_path())), Ok{};
  const Database& db = **records;
  TECC_TRY(const auto tasks, db.tasks());
  const auto found = std::find_if(tasks.rbegin(), tasks.rend(), [&](const Database::Task& t) { return t.workload == w->hash && t.target.starts_with(family); });
  if (found == tasks.rend()) return r.miss(fmt::format("no neighbours: nothing is recorded of it in {}", db.path())), Ok{};
  const auto trace = trace_of(c, folder, *w, arch);
  TECC_TRY(r.task, report_of(db, *found, trace ? fmt::format("{:016x}", schedule::hash(*trace)) : ""));
  return Ok{};
}

Result<Report> of_contract(const std::string& path, const Input& in, const Records& records) {
  TECC_TRY(const Contract c, read_contract(path));
  const std::string folder = fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path().string();
  TECC_TRY(const auto given, te::parse_dims(in.dims));
  Env dims;
  std::map<std::string, std::int64_t> runtime;
  auto integers = given;
  for (const ContractDim& d : c.dims) {
    integers.erase(d.name);
    const auto g = given.find(d.name);
    if (!d.value) runtime[d.name] = g != given.end() ? g->second.min : usual(d.min, d.max, d.multiple_of);
    if (g != given.end() || !d.value) dims[d.name] = g != given.end() ? g->second.min : runtime[d.name];
  }
  TECC_TRY(Env env, bind_dims(c, dims));

  Report r;
  const Variant* variant = nullptr;
  for (const Variant& v : c.variants)
    if (const auto* isa = std::get_if<CudaIsa>(&v.target)) {
      TECC_TRY(codegen::Target t, codegen::find_target(in.arch.empty() ? isa->arch : in.arch));
      if (t.arch != isa->arch) continue;
      variant = &v;
      r.target = std::move(t);
      break;
    }
  const auto w = expression_of(c, folder, integers);
  if (!variant && in.arch.empty() && w) {  // a CPU's: there is no machine code to explain, but what was measured
    TECC_CHECK(add_task(r, records, "cpu/", c, folder, w, "native"));
    r.title = fmt::format("{} for a CPU", c.name);
    if (r.task) return r;
  }
  if (!variant) {
    std::string have;
    for (const Variant& v : c.variants) have += (have.empty() ? "" : ", ") + (std::holds_alternative<CudaIsa>(v.target) ? std::get<CudaIsa>(v.target).arch : "a CPU");
    return refuse(Code::nothing_to_explain, path, fmt::format("it has kernels for {}, none for {}", have, in.arch.empty() ? "a GPU" : in.arch));
  }
  r.title = fmt::format("{} for {}", c.name, in.arch.empty() ? r.target->arch : in.arch);
  for (const ContractDim& d : c.dims) r.title += fmt::format(", {}={}", d.name, env[d.name]);
  for (const auto& [name, type] : c.types) r.title += fmt::format(", {}={}", name, tecc::name(type));
  env["sm_count"] = r.target->sm_count;

  std::optional<loop::Program> program;
  if (w) {
    r.roofline = autotune::roofline(*w, *r.target, runtime);
    if (auto p = program_of(c, folder, *w, *r.target)) program = *std::move(p);
    else r.miss(fmt::format("no bank conflicts: {}", message(p.error())));
  } else {
    r.miss(fmt::format("no bounds, bank conflicts and neighbours: {}", message(w.error())));
  }
  TECC_CHECK(add_task(r, records, autotune::fingerprint_family(*r.target), c, folder, w, r.target->arch));
  std::size_t n = 0;
  for (const Launch& launch : variant->launches) {
    const auto& l = std::get<CudaLaunch>(launch);
    KernelReport k;
    k.name = l.kernel;
    k.launch = KernelReport::LaunchFacts{1, l.block[0] * l.block[1] * l.block[2], l.cluster[0] * l.cluster[1] * l.cluster[2], l.shared_bytes};
    for (const std::string& g : l.grid) {
      TECC_TRY(const std::int64_t blocks, evaluate(g, env));
      k.launch->grid *= blocks;
    }
    const std::string image = folder + "/" + l.image;
    if (fs::exists(image)) {
      TECC_TRY(const std::string bytes, read_file(image));
      TECC_TRY(const Cubin cubin, read_cubin(bytes, image));
      for (const CubinKernel& x : cubin.kernels)
        if (x.name == l.kernel) k.cubin = x;
      if (const auto sass = disassemble(image)) add_code(k, parse_sass(sass->text), "SASS of " + sass->tool);
    }
    if (!k.assembly && l.ptx && fs::exists(folder + "/" + *l.ptx)) {
      TECC_TRY(const std::string ptx, read_file(folder + "/" + *l.ptx));
      add_code(k, parse_ptx(ptx), "PTX (no cuobjdump or nvdisasm on PATH)");
    }
    if (program && n < program->kernels.size()) {
      loop::Program one = *program;
      one.kernels = {program->kernels[n]};
      k.shared = codegen::cuda::shared_accesses(one);
      if (!k.assembly) {
        k.statements = statements_of(one);
        k.source = "the loop program (no machine code is at hand)";
      }
    }
    if (k.cubin) {
      // A block takes 1 KiB for the system on architectures that tell it as static memory.
      k.occupancy = occupancy_of(*r.target, k.launch->threads, k.cubin->registers, k.launch->shared_bytes + k.cubin->shared_bytes);
      if (k.occupancy->blocks) k.waves = static_cast<double>(k.launch->grid) / static_cast<double>(r.target->sm_count * k.occupancy->blocks);
    }
    ++n;
    r.kernels.push_back(std::move(k));
  }
  return r;
}

/// "The tensor cores hold it back: ..", the last line.
std::string verdict(const Report& r) {
  const autotune::Roofline& f = *r.roofline;
  const char* unit = f.tensor ? "the tensor cores" : "f32 arithmetic";
  const double most = std::max(f.memory_us, f.compute_us), least = std::min(f.memory_us, f.compute_us);
  std::string out = fmt::format("{} bounds it on this device: nothing is faster than {:.3g} us{}", f.memory_bound() ? "Memory" : f.tensor ? "The rate of the tensor cores" : "The rate of f32 arithmetic", most,
                                least > 0 ? fmt::format(", {:.1f} times what {} would allow", most / least, f.memory_bound() ? unit : "memory") : "");
  for (const KernelReport& k : r.kernels)
    if (k.occupancy && k.occupancy->blocks == 0) out += fmt::format("; kernel {} does not fit onto an SM at all ({})", k.name, k.occupancy->bound);
  return out + ".";
}

std::string text(const Report& r) {
  std::string out = r.title + "\n";
  for (const KernelReport& k : r.kernels) out += "\n" + text_of(k, r.target ? &*r.target : nullptr);
  if (r.roofline) {
    const autotune::Roofline& f = *r.roofline;
    out += fmt::format("\nroofline\n  {:<18}{} at {}: {:.3g} us\n  {:<18}{} at {}: {:.3g} us\n", "memory", quantity(f.bytes, "B"), quantity(r.target->memory_gbs * 1e9, "B/s"), f.memory_us,
                       f.tensor ? "tensor cores" : "arithmetic", quantity(f.operations, "FLOP"), quantity((f.tensor ? r.target->tensor_tflops : r.target->f32_tflops) * 1e12, "FLOP/s"), f.compute_us);
  }
  if (r.task) out += "\n" + text_of(*r.task);
  if (!r.without.empty()) out += fmt::format("\n({})\n", r.without);
  if (r.roofline) out += "\n" + verdict(r) + "\n";
  return out;
}

nlohmann::ordered_json json(const Report& r) {
  nlohmann::ordered_json j;
  j["title"] = r.title;
  j["kernels"] = nlohmann::ordered_json::array();
  for (const KernelReport& k : r.kernels) j["kernels"].push_back(json_of(k));
  if (r.roofline)
    j["roofline"] = {{"bytes", r.roofline->bytes}, {"operations", r.roofline->operations}, {"tensor_cores", r.roofline->tensor}, {"memory_us", r.roofline->memory_us}, {"compute_us", r.roofline->compute_us},
                     {"bound", r.roofline->memory_bound() ? "memory" : "compute"}};
  if (r.task) j["task"] = json_of(*r.task);
  if (!r.without.empty()) j["without"] = r.without;
  return j;
}

/// The one contract of an artifact's folder.
Result<std::string> contract_in(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  if (found.size() == 1) return found[0];
  return refuse(Code::nothing_to_explain, folder, found.empty() ? "the folder holds no contract (NAME.json)" : fmt::format("the folder holds {} contracts; legal: the path of one, as {}", found.size(), found[0]));
}

/// E05xx.
Records open_records(const std::string& given) {
  const std::string path = given.empty() ? Database::default_path() : given;
  if (!fs::exists(path)) return given.empty() ? Records(std::nullopt) : refuse(Code::records_unusable, path, "no such file");
  TECC_TRY(Database db, Database::open(path));
  return std::optional<Database>(std::move(db));
}

/// The first digits of a task, as `tecc records list` prints them; other words are shorter or have other letters.
bool names_task(const std::string& what) { return what.size() >= 6 && what.find_first_not_of("0123456789abcdef") == std::string::npos; }

/// The task whose hash begins so; the one that was recorded last for an empty text. E0536.
Result<Database::Task> task_of(const Database& records, const std::string& begin) {
  TECC_TRY(const auto tasks, records.tasks());
  std::vector<const Database::Task*> found;
  for (const Database::Task& t : tasks)
    if (t.workload.starts_with(begin)) found.push_back(&t);
  const bool one = !found.empty() && (begin.empty() || std::all_of(found.begin(), found.end(), [&](const auto* t) { return t->workload == found[0]->workload; }));
  if (one) return *found.back();
  return refuse(Code::which_task, begin.empty() ? "(the newest)" : begin, found.empty() ? "none" : std::to_string(found.size()), records.path());
}

int run_task(const std::string& begin, const std::string& path, const Input& in) {
  const auto records = open_records(path);
  if (!records) return fail(records.error(), in);
  if (!*records) return fail(refuse(Code::records_unusable, Database::default_path(), "no such file"), in);
  const auto task = task_of(**records, begin);
  if (!task) return fail(task.error(), in);
  const auto report = report_of(**records, *task);
  if (!report) return fail(report.error(), in);
  if (in.json) fmt::print("{}\n", json_of(*report).dump(2));
  else fmt::print("{}", text_of(*report));
  return 0;
}

int run(const std::string& what, const std::string& records_path, const Input& in) {
  if (what.empty() && records_path.empty()) {
    std::cerr << "what is to be explained? Give an error number, an artifact's NAME.json or folder, a cubin, or --records\n";
    return 2;
  }
  if (const auto known = explanation(what)) {
    if (in.json) fmt::print("{}\n", nlohmann::ordered_json{{"code", what}, {"text", *known}}.dump(2));
    else fmt::print("{}", *known);
    return 0;
  }
  const bool folder = fs::is_directory(what);
  if (!folder && !what.ends_with(".json") && !what.ends_with(".cubin")) {
    if (what.empty() || (names_task(what) && !fs::exists(what))) return run_task(what, records_path, in);
    if (!fs::exists(what)) return fail(refuse(Code::unknown_error, what), in);
    return fail(refuse(Code::nothing_to_explain, what, "its name ends in neither .json nor .cubin"), in);
  }
  Result<std::string> path = folder ? contract_in(what) : Result<std::string>(what);
  if (!path) return fail(path.error(), in);
  const bool cubin = path->ends_with(".cubin");
  if (cubin && !records_path.empty()) return fail(refuse(Code::nothing_to_explain, what, "a cubin does not say which task it is; with --records give the artifact's NAME.json"), in);
  const Records records = cubin ? Records(std::nullopt) : open_records(records_path);
  if (!records && !records_path.empty()) return fail(records.error(), in);  // default ones that cannot be read are no reason to say nothing
  const auto report = cubin ? of_cubin(*path) : of_contract(*path, in, records);
  if (!report) return fail(report.error(), in);
  if (in.json) fmt::print("{}\n", json(*report).dump(2));
  else fmt::print("{}", text(*report));
  return 0;
}

}  // namespace

std::function<int()> add_explain(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  auto records = std::make_shared<std::string>();
  auto in = std::make_shared<Input>();
  app.add_option("what", *what, "an error number (E0303), an artifact's NAME.json or folder, a cubin, or the first digits of a task of the records");
  app.add_option("--records", *records, "a database: what the candidates beside the best one cost, and why others failed; alone: of its newest task");
  app.add_option("--dims", in->dims, "values of runtime dims, M=4096");
  app.add_option("--arch", in->arch, "which of several architectures, or a device file to take the bounds from");
  app.add_flag("--json", in->json, "one JSON document on stdout");
  return [what, records, in] { return run(*what, *records, *in); };
}

}  // namespace tecc::cli
