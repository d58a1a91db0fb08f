// A message's memory: counted references, placed so that its tensor begins where vector loads like it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace front {

struct Slice {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
};

// Bytes that come in one by one up to `size`. It grows as they come: a client may claim what it never sends.
class Memory {
 public:
  static constexpr std::size_t kAlignment = 16;
  static constexpr std::size_t kAtOnce = std::size_t{1} << 20;

  // `at`: the byte that is to lie at a multiple of kAlignment. Throws std::bad_alloc.
  Memory(std::size_t size, std::size_t at) : size_(size), shift_((kAlignment - at % kAlignment) % kAlignment) {
    grow(size < kAtOnce ? size : kAtOnce);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void take() { uses_.fetch_add(1, std::memory_order_relaxed); }
  void let_go() {
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  std::size_t size() const { return size_; }
  std::size_t filled() const { return filled_; }
  bool is_full() const { return filled_ == size_; }
  const std::uint8_t* data() const { return block_ + shift_; }

  // Where the next bytes go, and how many of `wanted` there is room for. Throws std::bad_alloc.
  std::uint8_t* room(std::size_t wanted, std::size_t* given) {
    const std::size_t left = size_ - filled_;
    if (wanted > left) wanted = left;
    if (filled_ + wanted > capacity_) {
      std::size_t more = 2 * capacity_;
      if (more < filled_ + wanted) more = filled_ + wanted;
      grow(more < size_ ? more : size_);
    }
    *given = wanted;
    return block_ + shift_ + filled_;
  }
  void fill(std::size_t count) { filled_ += count; }

 private:
  ~Memory() { std::free(block_); }

  void grow(std::size_t capacity) {
    void* block = std::realloc(block_, capacity + kAlignment);
    if (block == nullptr) throw std::bad_alloc();
    block_ = static_cast<std::uint8_t*>(block);
    capacity_ = capacity;
  }

  std::atomic<int> uses_{1};
  std::size_t size_, shift_, filled_ = 0, capacity_ = 0;
  std::uint8_t* block_ = nullptr;
};

// A counted reference.
template <class T>
class Ref {
 public:
  Ref() = default;
  static Ref adopt(T* one) {
    Ref made;
    made.one_ = one;
    return made;
  }
  static Ref of(T* one) {
    if (one != nullptr) one->take();
    return adopt(one);
  }
  Ref(const Ref& other) : one_(other.one_) {
    if (one_ != nullptr) one_->take();
  }
  Ref(Ref&& other) noexcept : one_(std::exchange(other.one_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(one_, other.one_);
    return *this;
  }
  ~Ref() {
    if (one_ != nullptr) one_->let_go();
  }
  T* get() const { return one_; }
  T* operator->() const { return one_; }
  T& operator*() const { return *one_; }
  explicit operator bool() const { return one_ != nullptr; }
  T* release() { return std::exchange(one_, nullptr); }

 private:
  T* one_ = nullptr;
};

}  // namespace front
