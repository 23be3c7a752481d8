#pragma once
#include <initializer_list>
#include <string>

namespace tecc {

/// A library opened while running (NVRTC, the CUDA driver): the binary itself needs neither. Stays open for the process.
class SharedLibrary {
 public:
  /// The first of `names` that opens, each tried as such and then in `folders`. error() says what was tried otherwise.
  SharedLibrary(std::initializer_list<const char*> names, std::initializer_list<std::string> folders);
  explicit operator bool() const { return handle_ != nullptr; }
  const std::string& error() const { return error_; }

  /// Opens a library of the folder that this one came from, for the whole process: this one will ask the loader for it by its
  /// bare name, which finds only what is open already or lies on the loader's path. False when it is not there.
  bool open_beside(const std::string& name) const;

  /// Fills a function pointer; false when the library has no such symbol.
  template <class F> bool find(const char* symbol, F*& function) const {
    function = reinterpret_cast<F*>(address(symbol));
    return function != nullptr;
  }

 private:
  void* address(const char* symbol) const;
  void* handle_ = nullptr;
  std::string error_;
};

}  // namespace tecc
