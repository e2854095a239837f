#pragma once

#include <cstring>
#include <typeinfo>
#include <utility>

/// How a connection stores a value of its user's type, and finds out whether a later request names the same type. Works
/// without RTTI (-fno-rtti) too: evio itself never names the type.
namespace evio::internal {

/// Its address identifies T. Not const, or a linker might merge those of several types. Visible, so that a program and
/// its shared libraries have one for each type that is visible itself; each has its own for a type that it hides.
template <class T>
[[gnu::visibility("default")]] inline char type_tag = 0;

/// Identifies a type. Two are equal if they have the same tag or, where there is RTTI, the same type_info: a hidden
/// type in two shared libraries, or any in those loaded with dlopen(3), may have two tags.
struct TypeId {
  const char* tag;
  const std::type_info* info;  // null without RTTI

  friend bool operator==(const TypeId& a, const TypeId& b) noexcept {
    return a.tag == b.tag || (a.info != nullptr && b.info != nullptr && same_info(*a.info, *b.info));
  }

 private:
  // clang gives types in the unnamed namespaces of two files the same type_info if their names are the same. They have
  // a tag for each file.
  static bool same_info(const std::type_info& a, const std::type_info& b) noexcept {
    return a == b && std::strstr(a.name(), "_GLOBAL__N_") == nullptr;
  }
};

template <class T>
TypeId type_id() noexcept {
#ifdef __cpp_rtti
  return {&type_tag<T>, &typeid(T)};
#else
  return {&type_tag<T>, nullptr};
#endif
}

/// A value whose type only its owner knows.
class Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;
  /// The value if it has this type, null otherwise.
  virtual void* find(const TypeId& type) noexcept = 0;
};

template <class T>
class ContextOf final : public Context {
 public:
  explicit ContextOf(T value) : value_(std::move(value)) {}
  void* find(const TypeId& type) noexcept override { return type == type_id<T>() ? &value_ : nullptr; }

 private:
  T value_;
};

}  // namespace evio::internal
