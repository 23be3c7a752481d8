#include <cstdlib>
#include <filesystem>

#include "autotune/model/model.h"

namespace tecc::autotune {

std::string device_class(const codegen::Target& t) { return t.kind == codegen::Target::Kind::cuda ? t.arch : ""; }

Result<std::optional<Model>> shipped_model(const codegen::Target& t) {
  const std::string name = device_class(t);
  if (name.empty()) return std::optional<Model>();
  std::error_code error;
  std::vector<std::filesystem::path> folders;
  if (const char* own = std::getenv("TECC_MODELS"); own && *own) {
    folders.push_back(own);
  } else {
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();  // PREFIX/bin, or a build's folder
    folders = {program.parent_path() / "share/tecc/models", program / "share/tecc/models"};
  }
  for (const auto& folder : folders) {
    const auto path = folder / (name + ".ubj");
    if (!std::filesystem::exists(path, error)) continue;
    TECC_TRY(Model m, Model::load(path.string()));
    return std::optional<Model>(std::move(m));
  }
  return std::optional<Model>();
}

}  // namespace tecc::autotune
