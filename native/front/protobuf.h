// As much of protobuf's wire format as a request and an answer of the Open Inference Protocol need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "memory.h"

namespace front {

enum Wire : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Reads fields one after the other; every method is false where the bytes are no message.
class Fields {
 public:
  explicit Fields(Slice bytes) : at_(bytes.data), end_(bytes.data + bytes.size) {}

  bool more() const { return at_ < end_; }
  const std::uint8_t* at() const { return at_; }

  bool tag(std::uint32_t* field, std::uint32_t* wire) {
    std::uint64_t value;
    if (!varint(&value) || value >> 3 == 0 || value > 0xFFFFFFFFu) return false;
    *field = static_cast<std::uint32_t>(value >> 3);
    *wire = static_cast<std::uint32_t>(value & 7);
    return true;
  }
  bool varint(std::uint64_t* value) {
    std::uint64_t made = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return false;
      const std::uint8_t byte = *at_++;
      if (shift == 63 && byte > 1) return false;
      made |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        *value = made;
        return true;
      }
    }
    return false;
  }
  bool number(double* value) {
    if (end_ - at_ < static_cast<std::ptrdiff_t>(sizeof *value)) return false;
    std::memcpy(value, at_, sizeof *value);  // little-endian, as protobuf has it
    at_ += sizeof *value;
    return true;
  }
  bool bytes(Slice* found) {
    std::uint64_t size;
    if (!varint(&size) || size > static_cast<std::uint64_t>(end_ - at_)) return false;
    *found = Slice{at_, static_cast<std::size_t>(size)};
    at_ += size;
    return true;
  }

 private:
  const std::uint8_t *at_, *end_;
};

inline bool equal(Slice one, std::string_view other) {
  return one.size == other.size() && (one.size == 0 || std::memcmp(one.data, other.data(), one.size) == 0);
}

inline std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  while (value > 0x7F) {
    value >>= 7;
    ++size;
  }
  return size;
}

inline std::uint8_t* put_varint(std::uint8_t* to, std::uint64_t value) {
  while (value > 0x7F) {
    *to++ = static_cast<std::uint8_t>(value) | 0x80;
    value >>= 7;
  }
  *to++ = static_cast<std::uint8_t>(value);
  return to;
}

inline std::uint8_t* put(std::uint8_t* to, const void* bytes, std::size_t size) {
  if (size != 0) std::memcpy(to, bytes, size);
  return to + size;
}

}  // namespace front
