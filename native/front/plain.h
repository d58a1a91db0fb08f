// Plain requests: those of a family whose sizes are fixed, with raw contents and no parameters but `kAsked`. They are
// checked here, and nothing of Python's is made of them before a batch is. Whatever is not plain, wrong requests among them, goes the
// long way, which has the words for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"

namespace front {

enum class Vet : int { nothing = 0, finite16 = 1, finite32 = 2, finite64 = 3, truth = 4 };

struct PlainInput {
  std::string name, datatype;
  std::vector<std::int64_t> tail;  // the shape, less the axis of rows
  std::size_t row_bytes = 0;
  Vet vet = Vet::nothing;
};

// What plain requests for one family look like. `key` is the caller's.
struct Signature {
  std::int64_t key = 0;
  std::string model;
  std::vector<PlainInput> inputs;
  std::vector<std::string> outputs;
  std::int64_t most_rows = 1;
};

// Parameters that a plain request may have, each once, as a finite number. What they may be the engine knows.
constexpr const char* kAsked[] = {"slo_ms", "min_accuracy", "priority", "timeout"};
constexpr std::size_t kMostAsked = sizeof kAsked / sizeof kAsked[0];

// What it asks for, in the order of `kAsked`.
struct Asked {
  double values[kMostAsked] = {};
  bool has[kMostAsked] = {};
  bool any = false;
};

using Signatures = std::vector<std::shared_ptr<const Signature>>;

// What a plain request holds: slices of its message, one an input, in the signature's order.
struct Plain {
  std::shared_ptr<const Signature> signature;
  std::int64_t rows = 0;
  Slice id;
  Asked asked;
  std::vector<Slice> raw;
};

constexpr std::size_t kMostInputs = 16;
constexpr std::size_t kMostId = 1024;

// Whether `message` is plain for one of `signatures`; fills `found` where it is.
bool is_plain(Slice message, const Signatures& signatures, Plain* found);

// Where the first raw tensor begins in a message of which `head` has come, 0 where that is not known yet.
std::size_t raw_begins(Slice head);

// The size of an answer: `common`, what answers of a batch share, then what is this request's own.
std::size_t answer_size(std::size_t common, Slice id, const std::vector<Slice>& outputs);

// Writes it. `queue_ms`: how long the request waited.
void put_answer(std::uint8_t* to, Slice common, Slice id, double queue_ms, const std::vector<Slice>& outputs);

}  // namespace front
