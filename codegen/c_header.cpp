#include "codegen/c_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "codegen/c_text.h"

namespace tecc {
namespace {

template <class... F> struct Match : F... { using F::operator()...; };
template <class... F> Match(F...) -> Match<F...>;

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string joined(const std::vector<CParameter>& rows, std::string CParameter::*field) {
  std::string out;
  for (const CParameter& p : rows) out += (out.empty() ? "" : ", ") + p.*field;
  return out;
}

std::vector<CParameter> together(std::initializer_list<std::vector<CParameter>> lists) {
  std::vector<CParameter> out;
  for (const auto& list : lists) out.insert(out.end(), list.begin(), list.end());
  return out;
}

bool is_pointer(const ContractBuffer& b) { return b.role != Role::scalar; }
bool is_cleared_by_launch(const ContractBuffer& b) { return b.zero_before && !b.zero_after; }
bool is_cleared_once(const ContractBuffer& b) { return b.zero_before && b.zero_after; }

/// Prints one header. `out_` grows in the order of the functions called by print().
class Header {
 public:
  explicit Header(const Contract& c) : c_(c), n_(c.name), buffers_(c_buffer_parameters(c)), dims_(c_dim_parameters(c)) {
    if (has_workspace(c)) workspace_ = {{"void* workspace", "workspace"}};
    collect_errors();
    collect_kernels();
  }

  std::string print() {
    add("/* {0}: {1} by tecc {2}. Generated; the contract beside it, {0}.json, says the same to a program. */\n", n_,
        has_cuda(c_) ? "launches GPU kernels made" : "runs CPU code made", c_.tecc_version);
    add("#ifndef TECC_{0}_H\n#define TECC_{0}_H\n\n{1}\n", upper(n_), c_prelude());
    errors();
    call();
    if (has_cuda(c_)) cuda();
    if (has_cpu(c_)) cpu();
    add("#endif\n");
    return std::move(out_);
  }

 private:
  struct ErrorRow {
    std::string id, text;
  };

  template <class... A> void add(fmt::format_string<A...> text, A&&... args) {
    out_ += fmt::format(text, std::forward<A>(args)...);
  }
  std::string error(const std::string& id) const { return upper(n_) + "_E_" + id; }
  std::string expression(const std::string& formula) const { return c_expression(c_, formula); }

  // ---- error codes ----

  void collect_errors() {
    errors_ = {{"ARCH", "no image of this artifact is for the device"},
               {"FILE", "an image is missing or cannot be read"},
               {"DRIVER", "the driver table lacks a function that a kernel needs"},
               {"OVERFLOW", "a size does not fit 64 bits or a grid the device"},
               {"VARIANT", "no variant fits these dims and alignments"},
               {"TASK", "a CPU task failed"}};
    for (const ContractDim& d : c_.dims) {
      if (d.value) continue;
      errors_.push_back({"DIM_" + d.name, d.name + " must be " + range_text(d)});
      if (d.multiple_of != 1)
        errors_.push_back({"MULTIPLE_" + d.name, fmt::format("{} must be a multiple of {}", d.name, d.multiple_of)});
    }
    for (std::size_t i = 0; i < c_.constraints.size(); ++i)
      errors_.push_back({fmt::format("CONSTRAINT_{}", i), fmt::format("{} must be 0", c_.constraints[i])});
    for (const ContractBuffer& b : c_.buffers) {
      if (!is_pointer(b) || b.role == Role::workspace) continue;
      errors_.push_back({"NULL_" + b.name, fmt::format("{} is NULL", b.name)});
      if (b.align > 1)
        errors_.push_back({"ALIGN_" + b.name, fmt::format("{} must be {}-byte aligned", b.name, b.align)});
    }
    for_overlaps([&](const ContractBuffer& a, const ContractBuffer& b) {
      errors_.push_back({fmt::format("OVERLAP_{}_{}", a.name, b.name), fmt::format("{} overlaps {}", a.name, b.name)});
    });
    if (has_workspace(c_))
      errors_.push_back({"WORKSPACE", fmt::format("workspace is NULL or not {}-byte aligned", workspace_align())});
  }

  /// Pairs of buffers whose storage must not meet: one of them is written.
  template <class F> void for_overlaps(F&& f) const {
    for (std::size_t i = 0; i < c_.buffers.size(); ++i)
      for (std::size_t j = 0; j < c_.buffers.size(); ++j) {
        const ContractBuffer &a = c_.buffers[i], &b = c_.buffers[j];
        const bool written = a.role == Role::output || a.role == Role::inout;
        const bool both = written && (b.role == Role::output || b.role == Role::inout);
        if (!written || !is_pointer(b) || b.role == Role::workspace || i == j || (both && j < i)) continue;
        if (a.may_alias != b.name && b.may_alias != a.name) f(a, b);
      }
  }
  std::int64_t workspace_align() const {
    std::int64_t out = 1;
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::workspace) out = std::max(out, b.align);
    return out;
  }

  void errors() {
    add("/* What the functions below return: 0, one of these, or a positive CUresult of the driver. */\nenum {{\n");
    for (std::size_t i = 0; i < errors_.size(); ++i)
      add("  {} = {},\n", error(errors_[i].id), -1 - static_cast<int>(i));
    add("  {}_OK = 0\n}};\n", upper(n_));
    add("static inline const char* {}_error_text(int code) {{\n  switch (code) {{\n    case 0: return \"success\";\n",
        n_);
    for (const ErrorRow& e : errors_) add("    case {}: return \"{}\";\n", error(e.id), e.text);
    add("  }}\n  return code > 0 ? \"the CUDA driver failed; the code is its CUresult\" : \"unknown error\";\n}}\n\n");
  }

  // ---- one call: its dims, addresses and checks ----

  void call() {
    add("typedef struct {}_call_ {{\n  int64_t sm_count;\n", n_);
    for (const ContractDim& d : c_.dims)
      if (!d.value) add("  int64_t d_{};\n", d.name);
    for (const ContractBuffer& b : c_.buffers) {
      if (is_pointer(b)) add("  uint64_t p_{};\n", b.name);
      else add("  {} s_{};\n", c_scalar_type(*b.dtype), b.name);
    }
    add("}} {}_call_;\n\n", n_);
    dims_function();
    workspace_function();
    bind_function();
    for (std::size_t v = 0; v < c_.variants.size(); ++v) fits_function(v);
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::constant) constant_functions(b);
  }

  void dims_function() {
    add("static inline int {0}_dims_({0}_call_* c, int64_t sm_count{1}) {{\n  int bad = 0;\n", n_, after(dims_));
    add("  memset(c, 0, sizeof *c);\n  c->sm_count = sm_count;\n");
    for (const ContractDim& d : c_.dims) {
      if (d.value) continue;
      add("  c->d_{} = {};\n", d.name, c_name(d.name));
      const bool open = d.max == std::numeric_limits<std::int64_t>::max();  // comparing with it would warn
      add("  if (c->d_{0} < {1}{2}) return {3};\n", d.name, c_literal(d.min),
          open ? "" : fmt::format(" || c->d_{} > {}", d.name, c_literal(d.max)), error("DIM_" + d.name));
      if (d.multiple_of != 1)
        add("  if (c->d_{} % {} != 0) return {};\n", d.name, c_literal(d.multiple_of), error("MULTIPLE_" + d.name));
    }
    for (std::size_t i = 0; i < c_.constraints.size(); ++i)
      add("  if ({} != 0) return {}; /* {} */\n", expression(c_.constraints[i]), error(fmt::format("CONSTRAINT_{}", i)),
          c_.constraints[i]);
    add("  return bad ? {} : 0;\n}}\n", error("OVERFLOW"));
  }

  /// Workspaces one after another; their bytes in all, or an error code.
  void workspace_function() {
    if (!has_workspace(c_)) return;
    add("static inline int64_t {0}_layout_({0}_call_* c, uint64_t workspace) {{\n  int bad = 0;\n  int64_t end = 0;\n",
        n_);
    for (const ContractBuffer& b : c_.buffers) {
      if (b.role != Role::workspace) continue;
      add("  end = tecc_mul_(tecc_ceildiv_(end, {0}, &bad), {0}, &bad);\n  c->p_{1} = workspace + (uint64_t)end;\n",
          b.align, b.name);
      add("  end = tecc_add_(end, {}, &bad);\n", expression(b.bytes));
    }
    add("  if (bad) return {};\n  return end;\n}}\n", error("OVERFLOW"));
  }

  void bind_function() {
    add("static inline int {0}_bind_({0}_call_* c, int64_t sm_count{1}) {{\n", n_,
        after(together({buffers_, dims_, workspace_})));
    add("  int bad = 0;\n  const int error = {}_dims_(c, sm_count{});\n  if (error) return error;\n", n_,
        names_after(dims_));
    for (const ContractBuffer& b : c_.buffers) {
      if (b.role == Role::workspace) continue;
      if (!is_pointer(b)) {
        add("  c->s_{} = {};\n", b.name, c_name(b.name));
        continue;
      }
      add("  c->p_{} = (uint64_t)(uintptr_t){};\n", b.name, c_name(b.name));
      add("  if (!c->p_{}) return {};\n", b.name, error("NULL_" + b.name));
      if (b.align > 1) add("  if (c->p_{} % {} != 0) return {};\n", b.name, b.align, error("ALIGN_" + b.name));
    }
    for_overlaps([&](const ContractBuffer& a, const ContractBuffer& b) {
      add("  if (c->p_{0} < c->p_{1} + (uint64_t){3} && c->p_{1} < c->p_{0} + (uint64_t){2}) return {4};\n", a.name,
          b.name, expression(size_formula(c_, a)), expression(size_formula(c_, b)),
          error(fmt::format("OVERLAP_{}_{}", a.name, b.name)));
    });
    if (has_workspace(c_)) {
      add("  {{\n    const int64_t bytes = {}_layout_(c, (uint64_t)(uintptr_t)workspace);\n    if (bytes < 0) return "
          "(int)bytes;\n",
          n_);
      add("    if (bytes > 0 && (!workspace || (uintptr_t)workspace % {} != 0)) return {};\n  }}\n", workspace_align(),
          error("WORKSPACE"));
    }
    add("  return bad ? {} : 0;\n}}\n", error("OVERFLOW"));
  }

  void fits_function(std::size_t v) {
    const Variant::When& w = c_.variants[v].when;
    std::string all;
    const auto both = [&](const std::string& one) { all += (all.empty() ? "" : " && ") + one; };
    const auto dim = [&](const std::string& name) { return expression(name); };
    for (const auto& [name, n] : w.multiple_of) both(fmt::format("{} % {} == 0", dim(name), c_literal(n)));
    for (const auto& [name, n] : w.min) both(fmt::format("{} >= {}", dim(name), c_literal(n)));
    for (const auto& [name, n] : w.max) both(fmt::format("{} <= {}", dim(name), c_literal(n)));
    for (const auto& [name, n] : w.align) both(fmt::format("c->p_{} % {} == 0", name, n));
    add("static inline int {0}_fits_{1}_(const {0}_call_* c) {{\n  (void)c;\n  return {2};\n}}\n", n_, v,
        all.empty() ? "1" : all);
  }

  void constant_functions(const ContractBuffer& b) {
    add("\n/* Constant {}: these bytes of the file, copied to where the kernel reads them. */\n", b.name);
    add("#define {}_{}_FILE \"{}\"\n", upper(n_), b.name, *b.file);
    for (const auto& [what, formula] : {std::pair("offset", b.offset), std::pair("bytes", b.bytes)})
      add("static inline int64_t {0}_{1}_{2}(int64_t sm_count{3}) {{\n  {0}_call_ call, *c = &call;\n  int bad = 0;\n"
          "  int64_t value = {0}_dims_(c, sm_count{4});\n  if (value) return value;\n  value = {5};\n"
          "  if (bad) return {6};\n  return value;\n}}\n",
          n_, b.name, what, after(dims_), names_after(dims_), expression(formula), error("OVERFLOW"));
  }

  // ---- CUDA ----

  struct KernelRow {
    std::size_t variant;
    bool once;
    const CudaLaunch* launch;
    int cubin, ptx;  // indices of images; -1: none
  };

  void collect_kernels() {
    const auto image = [&](const std::string& file) {
      const auto found = std::find(images_.begin(), images_.end(), file);
      if (found == images_.end()) return images_.push_back(file), static_cast<int>(images_.size()) - 1;
      return static_cast<int>(found - images_.begin());
    };
    for (std::size_t v = 0; v < c_.variants.size(); ++v)
      for (const bool once : {true, false})
        for (const Launch& l : once ? c_.variants[v].once : c_.variants[v].launches)
          if (const auto* cuda = std::get_if<CudaLaunch>(&l)) {
            const int cubin = image(cuda->image);
            kernels_.push_back({v, once, cuda, cubin, cuda->ptx ? image(*cuda->ptx) : -1});
          }
  }

  void cuda() {
    add("\n/* ---- CUDA: the driver's primary context must be current ---- */\n\n");
    add("#define {0}_IMAGES {1}\n#define {0}_KERNELS {2}\n", upper(n_), images_.size(), kernels_.size());
    add("typedef struct {}_kernels {{\n  tecc_driver_table driver;\n  int64_t sm_count;\n", n_);
    add("  int fit[{}];                 /* of each variant: tecc_fit_() */\n", c_.variants.size());
    add("  void* modules[{}];\n  void* functions[{}];\n}} {}_kernels;\n\n", images_.size(), kernels_.size(), n_);
    add("/* The file of image i, beside this header. */\nstatic inline const char* {}_image_file(int i) {{\n  switch "
        "(i) {{\n",
        n_);
    for (std::size_t i = 0; i < images_.size(); ++i) add("    case {}: return \"{}\";\n", i, images_[i]);
    add("  }}\n  return NULL;\n}}\n\n");
    load_functions();
    workspace_functions();
    for (std::size_t i = 0; i < kernels_.size(); ++i) launch_function(i);
    for (const bool once : {true, false})
      if (!once || std::any_of(kernels_.begin(), kernels_.end(), [](const KernelRow& k) { return k.once; }))
        call_function(once);
  }

  void load_functions() {
    add("static inline void {0}_unload({0}_kernels* k) {{\n  int i;\n  for (i = 0; i < {1}_IMAGES; ++i)\n", n_,
        upper(n_));
    add("    if (k->modules[i]) k->driver.module_unload(k->modules[i]);\n  memset(k, 0, sizeof *k);\n}}\n\n");

    add("static inline int {0}_kernel_({0}_kernels* k, const void* const* images, int kernel, int image, const char* "
        "name, "
        "int shared_bytes, int cluster) {{\n  int r = 0;\n  if (image < 0) return {1};\n",
        n_, error("FILE"));
    add("  if (!k->modules[image]) {{\n    if (!images[image]) return {};\n", error("FILE"));
    add("    if ((r = k->driver.module_load_data(&k->modules[image], images[image])) != 0) return r;\n  }}\n");
    add("  if ((r = k->driver.module_get_function(&k->functions[kernel], k->modules[image], name)) != 0) return r;\n");
    add("  if (shared_bytes > 0) r = k->driver.func_set_attribute(k->functions[kernel], 8, shared_bytes); /* "
        "MAX_DYNAMIC_SHARED_SIZE_BYTES */\n");
    add("  if (r == 0 && cluster > 8) r = k->driver.func_set_attribute(k->functions[kernel], 14, 1); /* "
        "NON_PORTABLE_CLUSTER_SIZE_ALLOWED */\n");
    add("  return r;\n}}\n");

    add("/* `images` has {1}_IMAGES pointers, image i being the bytes of {0}_image_file(i) (PTX ends with a 0); those "
        "that the\n"
        "   device does not need may be NULL. They are not used after the call. */\n",
        n_, upper(n_));
    add("static inline int {0}_load_images({0}_kernels* k, const tecc_driver_table* driver, const void* const* images) "
        "{{\n",
        n_);
    add("  int r, device = 0, sm_count = 0, major = 0, minor = 0, any = 0;\n  memset(k, 0, sizeof *k);\n  k->driver = "
        "*driver;\n");
    add("  if ((r = driver->ctx_get_device(&device)) != 0) return r;\n");
    add("  if ((r = driver->device_get_attribute(&sm_count, 16, device)) != 0) return r; /* MULTIPROCESSOR_COUNT */\n");
    add("  if ((r = driver->device_get_attribute(&major, 75, device)) != 0) return r;    /* COMPUTE_CAPABILITY_MAJOR "
        "*/\n");
    add("  if ((r = driver->device_get_attribute(&minor, 76, device)) != 0) return r;    /* COMPUTE_CAPABILITY_MINOR "
        "*/\n");
    add("  k->sm_count = sm_count;\n");
    for (std::size_t v = 0; v < c_.variants.size(); ++v) {
      const auto* isa = std::get_if<CudaIsa>(&c_.variants[v].target);
      if (!isa) continue;
      int number = 0;
      const char* end = isa->arch.data() + isa->arch.size();
      const char* stop = std::from_chars(isa->arch.data() + 3, end, number).ptr;
      const std::string suffix = stop == end ? "0" : fmt::format("'{}'", *stop);
      add("  any |= k->fit[{}] = tecc_fit_({}, {}, {}, major * 10 + minor); /* {} */\n", v, number, suffix,
          isa->forward_compatible ? 1 : 0, isa->arch);
    }
    add("  if (!any) return {};\n", error("ARCH"));
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      const CudaLaunch& l = *kernels_[i].launch;
      add("  if (r == 0 && k->fit[{0}]) r = {1}_kernel_(k, images, {2}, k->fit[{0}] == 1 ? {3} : {4}, \"{5}\", {6}, "
          "{7});\n",
          kernels_[i].variant, n_, i, kernels_[i].cubin, kernels_[i].ptx, l.kernel, l.shared_bytes,
          l.cluster[0] * l.cluster[1] * l.cluster[2]);
    }
    add("  if (r != 0) {}_unload(k);\n  return r;\n}}\n", n_);

    add("/* Reads the images from the folder that this header came in. */\n");
    add("static inline int {0}_load({0}_kernels* k, const tecc_driver_table* driver, const char* folder) {{\n", n_);
    add("  void* images[{0}_IMAGES];\n  int i, r;\n  for (i = 0; i < {0}_IMAGES; ++i) images[i] = tecc_read_(folder, "
        "{1}_image_file(i));\n",
        upper(n_), n_);
    add("  r = {0}_load_images(k, driver, (const void* const*)images);\n  for (i = 0; i < {1}_IMAGES; ++i) "
        "free(images[i]);\n  return r;\n}}\n\n",
        n_, upper(n_));
  }

  void workspace_functions() {
    if (!has_workspace(c_)) return;
    add("/* Bytes of device memory, {}-byte aligned, that one call in flight needs at these dims; negative: an error "
        "code. */\n",
        workspace_align());
    add("static inline int64_t {0}_workspace_bytes(const {0}_kernels* k{1}) {{\n  {0}_call_ c;\n", n_, after(dims_));
    add("  const int error = {0}_dims_(&c, k->sm_count{1});\n  return error ? error : {0}_layout_(&c, 0);\n}}\n", n_,
        names_after(dims_));
    add("/* To be called once after allocation, and again when a dim has changed: clears what must start at zero. "
        "*/\n");
    add("static inline int {0}_workspace_init(const {0}_kernels* k, void* stream{1}) {{\n  {0}_call_ call, *c = "
        "&call;\n  int bad = 0, r;\n",
        n_, after(together({dims_, workspace_})));
    add("  int64_t bytes;\n  (void)stream;\n  if ((r = {0}_dims_(c, k->sm_count{1})) != 0) return r;\n", n_,
        names_after(dims_));
    add("  bytes = {}_layout_(c, (uint64_t)(uintptr_t)workspace);\n  if (bytes < 0) return (int)bytes;\n", n_);
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::workspace && is_cleared_once(b)) clear(b);
    add("  return bad ? {} : r;\n}}\n\n", error("OVERFLOW"));
  }

  void clear(const ContractBuffer& b) {
    add("  if (r == 0) r = k->driver.memset_d8_async(c->p_{}, 0, (size_t){}, stream);\n", b.name, expression(b.bytes));
  }

  void launch_function(std::size_t i) {
    const CudaLaunch& l = *kernels_[i].launch;
    add("static inline int {0}_launch_{1}_(const {0}_kernels* k, void* stream, const {0}_call_* c) {{ /* {2} */\n", n_,
        i, l.kernel);
    add("  int bad = 0;\n");
    std::string params;
    for (std::size_t a = 0; a < l.args.size(); ++a) {
      params += fmt::format(
          "{}{}", a ? ", " : "",
          std::holds_alternative<TensorMapArg>(l.args[a]) ? fmt::format("tecc_map_(&a{})", a) : fmt::format("&a{}", a));
      std::visit([&](const auto& arg) { declare(a, arg); }, l.args[a]);
    }
    add("  void* params[{}] = {{{}}};\n", std::max<std::size_t>(1, l.args.size()), params.empty() ? "NULL" : params);
    add("  tecc_launch_attribute attributes[3];\n  tecc_launch_config config;\n");
    add("  memset(attributes, 0, sizeof attributes);\n  memset(&config, 0, sizeof config);\n");
    for (int d = 0; d < 3; ++d) add("  config.grid[{}] = tecc_grid_({}, &bad);\n", d, expression(l.grid[d]));
    for (int d = 0; d < 3; ++d) add("  config.block[{}] = {};\n", d, l.block[d]);
    add("  config.shared_bytes = {};\n  config.stream = stream;\n  config.attributes = attributes;\n", l.shared_bytes);
    const auto attribute = [&](int id, std::array<std::int64_t, 3> words, const char* name) {
      add("  attributes[config.attribute_count].id = {}; /* {} */\n", id, name);
      for (int d = 0; d < 3; ++d)
        if (words[d]) add("  attributes[config.attribute_count].value.words[{}] = {};\n", d, words[d]);
      add("  ++config.attribute_count;\n");
    };
    if (l.cluster != std::array<std::int64_t, 3>{1, 1, 1}) attribute(4, l.cluster, "CLUSTER_DIMENSION");
    if (l.cooperative) attribute(2, {1, 0, 0}, "COOPERATIVE");
    if (l.programmatic_dependent) attribute(6, {1, 0, 0}, "PROGRAMMATIC_STREAM_SERIALIZATION");
    add("  if (bad) return {};\n", error("OVERFLOW"));
    add("  if (!config.grid[0] || !config.grid[1] || !config.grid[2]) return 0; /* nothing to do */\n");
    for (std::size_t a = 0; a < l.args.size(); ++a)
      if (const auto* map = std::get_if<TensorMapArg>(&l.args[a])) encode(a, *map);
    add("  (void)c;\n  return k->driver.launch_kernel_ex(&config, k->functions[{}], params, NULL);\n}}\n", i);
  }

  void declare(std::size_t a, const BufferArg& arg) {
    const std::string offset = expression(arg.offset_bytes);
    add("  uint64_t a{} = c->p_{}{};\n", a, arg.buffer, offset == "0" ? "" : " + (uint64_t)" + offset);
  }
  void declare(std::size_t a, const TensorMapArg&) { add("  tecc_tensor_map a{};\n", a); }
  void declare(std::size_t a, const ScalarArg& arg) {
    const std::string value =
        std::visit(Match{[&](const std::string& text) {
                           const ContractBuffer* b = c_.find_buffer(text);
                           return b && b->role == Role::scalar ? "c->s_" + text : expression(text);
                         },
                         [](std::int64_t v) { return c_literal(v); }, [](double v) { return double_literal(v); }},
                   arg.value);
    switch (arg.type) {
      case DType::f32:
        return add("  float a{} = (float){};\n", a, value);
      case DType::f64:
        return add("  double a{} = (double){};\n", a, value);
      case DType::i64:
        return add("  int64_t a{} = (int64_t){};\n", a, value);
      default:
        return add("  int32_t a{} = tecc_i32_((int64_t){}, &bad);\n", a, value);
    }
  }
  static std::string double_literal(double v) {
    if (v != v) return "(0.0 / 0.0)";
    if (v > 1.7976931348623157e308 || v < -1.7976931348623157e308) return v > 0 ? "(1e308 * 10)" : "(-1e308 * 10)";
    const std::string text = fmt::format("{}", v);
    return "(" + text + (text.find_first_of(".e") == std::string::npos ? ".0" : "") + ")";
  }
  void encode(std::size_t a, const TensorMapArg& m) {
    const auto list = [&](const std::vector<std::string>& formulas) {
      std::string out;
      for (const std::string& f : formulas) out += (out.empty() ? "" : ", ") + ("(uint64_t)" + expression(f));
      return out.empty() ? std::string("0") : out;
    };
    const TensorMapCodes t = codes(m);
    const std::string offset = expression(m.offset_bytes);
    add("  {{ /* {} */\n    const uint64_t dims[] = {{{}}}, strides[] = {{{}}};\n", m.buffer, list(m.dims),
        list(m.strides_bytes));
    add("    const unsigned box[] = {{{}}}, steps[] = {{{}}};\n    int r;\n", fmt::join(m.box, ", "),
        fmt::join(m.element_strides, ", "));
    add("    if (bad) return {};\n    if (!k->driver.tensor_map_encode_tiled) return {};\n", error("OVERFLOW"),
        error("DRIVER"));
    add("    r = k->driver.tensor_map_encode_tiled(tecc_map_(&a{}), {}, {}, (void*)(uintptr_t)(c->p_{}{}), dims, "
        "strides, box, steps, {}, {}, {}, {});\n",
        a, t.type, m.dims.size(), m.buffer, offset == "0" ? "" : " + (uint64_t)" + offset, t.interleave, t.swizzle,
        t.l2_promotion, t.oob_fill);
    add("    if (r != 0) return r;\n  }}\n");
  }

  void call_function(bool once) {
    out_ += once ? "\n/* To be called once for a workspace, before the first launch. */\n"
                 : "\n/* Enqueues the work on `stream` (a CUstream). Pointers are device addresses. */\n";
    add("static inline int {0}_{1}(const {0}_kernels* k, void* stream{2}) {{\n", n_, once ? "once" : "launch",
        after(together({buffers_, dims_, workspace_})));
    add("  {0}_call_ call, *c = &call;\n  int bad = 0;\n  int r = {0}_bind_(c, k->sm_count{1});\n  if (r != 0) return "
        "r;\n",
        n_, names_after(together({buffers_, dims_, workspace_})));
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::workspace && is_cleared_by_launch(b)) clear(b);
    add("  if (bad) return {};\n", error("OVERFLOW"));
    for (std::size_t v = 0; v < c_.variants.size(); ++v) {
      if (!std::holds_alternative<CudaIsa>(c_.variants[v].target)) continue;
      add("  if (k->fit[{0}] && {1}_fits_{0}_(c)) {{\n", v, n_);
      for (std::size_t i = 0; i < kernels_.size(); ++i)
        if (kernels_[i].variant == v && kernels_[i].once == once)
          add("    if (r == 0) r = {}_launch_{}_(k, stream, c);\n", n_, i);
      add("    return r;\n  }}\n");
    }
    add("  return {};\n}}\n", error("VARIANT"));
  }

  // ---- CPU ----

  void cpu() {
    add("\n/* ---- CPU: link the object files ---- */\n\n");
    std::vector<std::string> declared;
    add("#ifdef __cplusplus\nextern \"C\" {{\n#endif\n");
    for (const Variant& v : c_.variants)
      for (const auto* launches : {&v.once, &v.launches})
        for (const Launch& l : *launches)
          if (const auto* cpu = std::get_if<CpuLaunch>(&l);
              cpu && std::find(declared.begin(), declared.end(), cpu->symbol) == declared.end()) {
            declared.push_back(cpu->symbol);
            add("int32_t {}(void* const* buffers, const int64_t* dims, int64_t task); /* {} */\n", cpu->symbol,
                cpu->object);
          }
    add("#ifdef __cplusplus\n}}\n#endif\n\n");
    cpu_workspace();
    add("/* Runs all tasks one after another. A program with a thread pool may call the functions above with tasks of "
        "its own order. */\n");
    add("static inline int {}_run({}) {{\n", n_, list_or_void(together({buffers_, dims_, workspace_})));
    add("  {0}_call_ call, *c = &call;\n  int bad = 0;\n  int64_t task, tasks;\n  int r = {0}_bind_(c, 1{1});\n", n_,
        names_after(together({buffers_, dims_, workspace_})));
    add("  void* all[{}];\n  int64_t sizes[{}];\n  if (r != 0) return r;\n",
        std::max<std::size_t>(1, c_.buffers.size()), std::max<std::size_t>(1, c_.dims.size()));
    for (std::size_t i = 0; i < c_.buffers.size(); ++i) {
      const ContractBuffer& b = c_.buffers[i];
      if (is_pointer(b)) add("  all[{}] = (void*)(uintptr_t)c->p_{};\n", i, b.name);
      else add("  all[{}] = &c->s_{};\n", i, b.name);
    }
    for (std::size_t i = 0; i < c_.dims.size(); ++i) add("  sizes[{}] = {};\n", i, expression(c_.dims[i].name));
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::workspace && is_cleared_by_launch(b))
        add("  memset(all[{}], 0, (size_t){});\n", &b - c_.buffers.data(), expression(b.bytes));
    for (std::size_t v = 0; v < c_.variants.size(); ++v) {
      if (!std::holds_alternative<CpuIsa>(c_.variants[v].target)) continue;
      add("  if ({}_fits_{}_(c)) {{\n", n_, v);
      // `once` packs constants into a workspace kept for good; without a place to remember that, it runs with every call
      for (const auto* launches : {&c_.variants[v].once, &c_.variants[v].launches})
        for (const Launch& l : *launches) {
          const CpuLaunch& x = std::get<CpuLaunch>(l);
          add("    tasks = {};\n    if (bad) return {};\n", expression(x.tasks), error("OVERFLOW"));
          add("    for (task = 0; task < tasks; ++task)\n      if ({}(all, sizes, task) != 0) return {};\n", x.symbol,
              error("TASK"));
        }
      add("    return 0;\n  }}\n");
    }
    add("  return {};\n}}\n", error("VARIANT"));
  }

  void cpu_workspace() {
    if (!has_workspace(c_)) return;
    const std::string prefix = has_cuda(c_) ? n_ + "_run" : n_;
    add("/* Bytes, {}-byte aligned, that one call needs at these dims; negative: an error code. */\n",
        workspace_align());
    add("static inline int64_t {1}_workspace_bytes({2}) {{\n  {0}_call_ c;\n  const int error = {0}_dims_(&c, 1{3});\n"
        "  return error ? error : {0}_layout_(&c, 0);\n}}\n",
        n_, prefix, list_or_void(dims_), names_after(dims_));
    add("/* To be called once after allocation, and again when a dim has changed: clears what must start at zero. "
        "*/\n");
    add("static inline int {1}_workspace_init({2}) {{\n  {0}_call_ call, *c = &call;\n  int bad = 0;\n  int r = "
        "{0}_dims_(c, 1{3});\n",
        n_, prefix, list_or_void(together({dims_, workspace_})), names_after(dims_));
    add("  int64_t bytes;\n  if (r != 0) return r;\n  bytes = {}_layout_(c, (uint64_t)(uintptr_t)workspace);\n  if "
        "(bytes < 0) return (int)bytes;\n",
        n_);
    for (const ContractBuffer& b : c_.buffers)
      if (b.role == Role::workspace && is_cleared_once(b))
        add("  memset((void*)(uintptr_t)c->p_{}, 0, (size_t){});\n", b.name, expression(b.bytes));
    add("  return bad ? {} : 0;\n}}\n\n", error("OVERFLOW"));
  }

  static std::string after(const std::vector<CParameter>& rows) {
    return rows.empty() ? "" : ", " + joined(rows, &CParameter::declaration);
  }
  static std::string names_after(const std::vector<CParameter>& rows) {
    return rows.empty() ? "" : ", " + joined(rows, &CParameter::name);
  }
  static std::string list_or_void(const std::vector<CParameter>& rows) {
    return rows.empty() ? "void" : joined(rows, &CParameter::declaration);
  }

  const Contract& c_;
  const std::string n_;
  const std::vector<CParameter> buffers_, dims_;
  std::vector<CParameter> workspace_;
  std::vector<ErrorRow> errors_;
  std::vector<std::string> images_;
  std::vector<KernelRow> kernels_;
  std::string out_;
};

}  // namespace

std::string c_header(const Contract& contract) { return Header(contract).print(); }

}  // namespace tecc
