#ifndef FIFOBUS_BROKER_CORE_ROUTING_PERSISTENT_MAP_H_
#define FIFOBUS_BROKER_CORE_ROUTING_PERSISTENT_MAP_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/hash/hash.h"

namespace fifobus {

// A sorted map whose versions share what they have in common: With and Without
// return a new version and copy only the path to the key, O(log n) nodes.
// Copying a map copies one pointer. A treap: a binary search tree by key that
// is a heap by the key's hash, which keeps it balanced whatever the order of
// insertion. (Seidel and Aragon, Randomized Search Trees, 1996.)
//
// Thread-compatible; as versions never change, any number of threads may read
// them.
template <typename Key, typename Value>
class PersistentMap {
 public:
  PersistentMap() = default;

  bool empty() const { return root_ == nullptr; }

  // Null if the key is missing. `key` may be anything comparable with Key.
  // Valid as long as a version with this entry lives.
  template <typename LookupKey>
  const Value* Find(const LookupKey& key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      if (key < node->key) {
        node = node->left.get();
      } else if (node->key < key) {
        node = node->right.get();
      } else {
        return &node->value;
      }
    }
    return nullptr;
  }

  PersistentMap With(const Key& key, const Value& value) const {
    return PersistentMap(Insert(root_, key, value));
  }

  PersistentMap Without(const Key& key) const {
    return PersistentMap(Remove(root_, key));
  }

  // Calls visit(key, value) for each entry in the order of the keys.
  template <typename Visitor>
  void ForEach(const Visitor& visit) const {
    Visit(root_.get(), visit);
  }

 private:
  struct Node;
  using Link = std::shared_ptr<const Node>;
  struct Node {
    Key key;
    Value value;
    size_t priority;
    Link left;
    Link right;
  };

  explicit PersistentMap(Link root) : root_(std::move(root)) {}

  static Link Make(const Node& like, Link left, Link right) {
    return std::make_shared<const Node>(Node{like.key, like.value,
                                             like.priority, std::move(left),
                                             std::move(right)});
  }

  static Link Insert(const Link& at, const Key& key, const Value& value) {
    if (!at) {
      return std::make_shared<const Node>(
          Node{key, value, absl::Hash<Key>()(key), nullptr, nullptr});
    }
    if (key < at->key) {
      const Link left = Insert(at->left, key, value);
      if (left->priority <= at->priority) return Make(*at, left, at->right);
      return Make(*left, left->left, Make(*at, left->right, at->right));
    }
    if (at->key < key) {
      const Link right = Insert(at->right, key, value);
      if (right->priority <= at->priority) return Make(*at, at->left, right);
      return Make(*right, Make(*at, at->left, right->left), right->right);
    }
    return std::make_shared<const Node>(
        Node{key, value, at->priority, at->left, at->right});
  }

  static Link Remove(const Link& at, const Key& key) {
    if (!at) return nullptr;
    if (key < at->key) return Make(*at, Remove(at->left, key), at->right);
    if (at->key < key) return Make(*at, at->left, Remove(at->right, key));
    return Merge(at->left, at->right);
  }

  // REQUIRES: every key of `left` is below every key of `right`.
  static Link Merge(const Link& left, const Link& right) {
    if (!left) return right;
    if (!right) return left;
    if (left->priority > right->priority) {
      return Make(*left, left->left, Merge(left->right, right));
    }
    return Make(*right, Merge(left, right->left), right->right);
  }

  template <typename Visitor>
  static void Visit(const Node* node, const Visitor& visit) {
    if (node == nullptr) return;
    Visit(node->left.get(), visit);
    visit(node->key, node->value);
    Visit(node->right.get(), visit);
  }

  Link root_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_PERSISTENT_MAP_H_
