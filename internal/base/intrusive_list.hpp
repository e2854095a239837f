#pragma once

#include "internal/base/assert.hpp"

namespace evio::internal {

/// The links of an object that can be in one IntrusiveList at a time: its member `hook_`. Thread-safety: one thread.
template <class Node>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { EVIO_ASSERT(previous_ == nullptr && next_ == nullptr); }

 private:
  template <class T, class N>
  friend class IntrusiveList;

  Node* previous_ = nullptr;
  Node* next_ = nullptr;
};

/// Objects in the order in which they were added: Nodes, which have the hook, all of type T. Owns nothing and allocates
/// nothing, so adding cannot fail. Thread-safety: one thread.
template <class T, class Node = T>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const noexcept { return first_ == nullptr; }
  /// Only when it is not empty.
  T& front() const noexcept { return *static_cast<T*>(first_); }
  /// Calls visit(T&) for each; visit may remove that object, and no other.
  template <class Visit>
  void for_each(Visit visit) {
    for (Node *at = first_, *next = nullptr; at != nullptr; at = next) {
      next = at->hook_.next_;
      visit(*static_cast<T*>(at));
    }
  }

  void add(T& object) noexcept {
    Node& node = object;
    EVIO_ASSERT(node.hook_.previous_ == nullptr && node.hook_.next_ == nullptr && first_ != &node);
    node.hook_.previous_ = last_;
    (last_ == nullptr ? first_ : last_->hook_.next_) = &node;
    last_ = &node;
  }
  void remove(T& object) noexcept {
    Node& node = object;
    Node* const previous = node.hook_.previous_;
    Node* const next = node.hook_.next_;
    EVIO_ASSERT((previous == nullptr ? first_ : previous->hook_.next_) == &node);
    (previous == nullptr ? first_ : previous->hook_.next_) = next;
    (next == nullptr ? last_ : next->hook_.previous_) = previous;
    node.hook_.previous_ = node.hook_.next_ = nullptr;
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace evio::internal
