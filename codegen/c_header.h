#pragma once
#include <string>

#include "codegen/artifact.h"

namespace tecc {

/// NAME.h: a self-contained C99 and C++ header that launches the artifact and needs neither tecc nor a CUDA header. It has
///   NAME_load(kernels, driver, folder), NAME_load_images(kernels, driver, images), NAME_unload(kernels)
///   NAME_workspace_bytes(kernels, dims...), NAME_workspace_init(kernels, stream, dims..., workspace)
///   NAME_launch(kernels, stream, buffers..., dims..., workspace), NAME_once(...) where something runs once
///   NAME_run(buffers..., dims..., workspace) for the CPU, NAME_error_text(code)
/// Every condition of the contract has an error code of its own (negative; a positive code is the driver's CUresult).
/// Workspaces are laid one after another into the one pointer `workspace`.
std::string c_header(const Contract& contract);

/// example.c: a program that includes NAME.h, allocates the buffers and launches once. CUDA: dlopens libcuda.so.1 and reads
/// the images from the folder named on its command line; link with -ldl.
std::string example_c(const Contract& contract);

}  // namespace tecc
