#pragma once
#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "codegen/build.h"

namespace tecc::cli {

/// What several commands take: an expression, its dims and types, and a target.
struct Input {
  std::string path;        // op.te, op.cpp
  std::string text;        // -e
  std::string kernel;      // --kernel, of a file with several
  std::string dims, types; // "M=4096,N=1..64:8", "T=bf16"
  std::string align;       // "X=4"
  std::string arch;        // --arch, a list
  std::string target;      // cuda | llvm
  std::string mcpu = "native";
  int device = 0;
  bool json = false;
};
void add_input(CLI::App& app, Input& in, bool with_target = true);

/// True for a file that the host compiler reads.
bool is_cpp(const std::string& path);
/// The kernel that --kernel chooses of a C++ file as text, with the lines that made it (python_free_cli/compile_input.cpp). Prints the
/// error and returns nothing when something is wrong.
std::optional<Source> compile_input(const Input& in);

/// An expression with its text, for messages.
struct Loaded {
  Source source;
  codegen::Workload workload;
};
/// Prints the error (with the user's line) and returns nothing when something is wrong.
std::optional<Loaded> load(const Input& in);
/// The targets of --arch and --target; without either: the GPU of this machine, else its CPU.
std::optional<std::vector<codegen::Target>> targets_of(const Input& in);

/// Where a schedule comes from: a file, "naive", records, or the prior. Or a file of --dump-ir that needs none.
struct ScheduleFrom {
  std::string schedule, records, compile_from;
  bool locked = false;
};
void add_schedule(CLI::App& app, ScheduleFrom& from);
/// How to run the expression on the target. Prints the error and returns nothing when something is wrong.
std::optional<codegen::Plan> plan_for(const ScheduleFrom& from, const Input& in, const Loaded& loaded, const codegen::Target& target);

/// One line to stderr, or {"error": {...}} on stdout with --json. Returns the exit code 1.
int fail(const Refusal& why, const Input& in, const Source* source = nullptr);
/// Of a plan's text or of the expression's, whichever the error points into.
int fail(const Refusal& why, const Input& in, const Loaded& loaded, const codegen::Plan& plan);

struct Command {
  const char* name;
  const char* help;
  /// Adds its options and returns what runs when it is chosen; that returns the exit code.
  std::function<int()> (*add)(CLI::App&);
};
std::function<int()> add_build(CLI::App& app);
std::function<int()> add_check(CLI::App& app);
std::function<int()> add_devices(CLI::App& app);
std::function<int()> add_explain(CLI::App& app);
std::function<int()> add_model(CLI::App& app);
std::function<int()> add_plan(CLI::App& app);
std::function<int()> add_run(CLI::App& app);
std::function<int()> add_survey(CLI::App& app);
std::function<int()> add_tune(CLI::App& app);
std::function<int()> add_records(CLI::App& app);
std::function<int()> add_runner(CLI::App& app);

}  // namespace tecc::cli
