#include "plain.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "protobuf.h"

namespace front {
namespace {

// Fields of inference.ModelInferRequest and what is in it.
enum Request : std::uint32_t { kModel = 1, kVersion = 2, kId = 3, kAsks = 4, kInputs = 5, kOutputs = 6, kRaw = 7 };
enum Tensor : std::uint32_t { kName = 1, kDatatype = 2, kShape = 3 };
enum Parameter : std::uint32_t { kSigned = 2, kDouble = 4, kUnsigned = 5 };
// Of inference.ModelInferResponse.
constexpr std::uint8_t kAnswerId = 3 << 3 | kBytes, kAnswerParameters = 4 << 3 | kBytes, kAnswerRaw = 6 << 3 | kBytes;

struct Input {
  Slice name, datatype;
  std::int64_t shape[16];
  std::size_t dims = 0;
};

bool add_dim(std::uint64_t value, Input* found) {
  if (found->dims == 16) return false;
  found->shape[found->dims++] = static_cast<std::int64_t>(value);
  return true;
}

bool read_shape(std::uint32_t wire, Fields* fields, Input* found) {
  std::uint64_t value;
  if (wire == kVarint) return fields->varint(&value) && add_dim(value, found);
  Slice packed;
  if (wire != kBytes || !fields->bytes(&packed)) return false;
  Fields dims(packed);
  while (dims.more()) {
    if (!dims.varint(&value) || !add_dim(value, found)) return false;
  }
  return true;
}

bool read_input(Slice bytes, Input* found) {
  Fields fields(bytes);
  while (fields.more()) {
    std::uint32_t field, wire;
    if (!fields.tag(&field, &wire)) return false;
    if (field == kShape) {
      if (!read_shape(wire, &fields, found)) return false;
      continue;
    }
    Slice* text = field == kName ? &found->name : field == kDatatype ? &found->datatype : nullptr;
    if (text == nullptr || wire != kBytes || text->data != nullptr || !fields.bytes(text)) return false;
  }
  return true;
}

// The name of a requested output that has nothing but a name.
bool read_output(Slice bytes, Slice* name) {
  Fields fields(bytes);
  std::uint32_t field, wire;
  return fields.tag(&field, &wire) && field == kName && wire == kBytes && fields.bytes(name) && !fields.more();
}

// A parameter's value, where it is a number and nothing else; of an integer the nearest double, as Python has it.
bool read_number(Slice bytes, double* value) {
  Fields fields(bytes);
  std::uint32_t field, wire;
  if (!fields.tag(&field, &wire)) return false;
  if (field == kDouble && wire == kFixed64) {
    if (!fields.number(value)) return false;
  } else {
    std::uint64_t whole;
    if ((field != kSigned && field != kUnsigned) || wire != kVarint || !fields.varint(&whole)) return false;
    *value = field == kSigned ? static_cast<double>(static_cast<std::int64_t>(whole)) : static_cast<double>(whole);
  }
  return !fields.more() && std::isfinite(*value);
}

// One entry of the parameters' map: its key, its value.
bool read_asked(Slice bytes, Asked* asked) {
  Fields fields(bytes);
  Slice parts[2];
  while (fields.more()) {
    std::uint32_t field, wire;
    if (!fields.tag(&field, &wire) || field < 1 || field > 2 || wire != kBytes) return false;
    if (parts[field - 1].data != nullptr || !fields.bytes(&parts[field - 1])) return false;
  }
  std::size_t at = 0;
  while (at < kMostAsked && !equal(parts[0], kAsked[at])) ++at;
  if (at == kMostAsked || asked->has[at]) return false;
  asked->has[at] = asked->any = true;
  return read_number(parts[1], &asked->values[at]);
}

bool is_ascii(Slice text) {
  for (std::size_t i = 0; i < text.size; ++i) {
    if (text.data[i] >= 0x80) return false;
  }
  return true;
}

template <class Bits>
bool are_finite(Slice raw, Bits exponent) {
  // A number is infinite or none where all bits of its exponent are set. Without branches: the compiler widens it.
  Bits found = 0;
  const std::size_t count = raw.size / sizeof(Bits);
  for (std::size_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, raw.data + i * sizeof(Bits), sizeof(Bits));
    found |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return found == 0;
}

bool passes(Slice raw, Vet vet) {
  switch (vet) {
    case Vet::finite16:
      return are_finite<std::uint16_t>(raw, 0x7C00);
    case Vet::finite32:
      return are_finite<std::uint32_t>(raw, 0x7F800000u);
    case Vet::finite64:
      return are_finite<std::uint64_t>(raw, 0x7FF0000000000000u);
    case Vet::truth: {
      std::uint8_t all = 0;
      for (std::size_t i = 0; i < raw.size; ++i) all |= raw.data[i];
      return all <= 1;
    }
    case Vet::nothing:
      return true;
  }
  return false;
}

// A request's fields, as far as a plain one has them.
struct Parts {
  Slice model, version, id;
  Slice inputs[kMostInputs], outputs[kMostInputs], raw[kMostInputs];
  Asked asked;
  std::size_t input_count = 0, output_count = 0, raw_count = 0;

  bool read(Slice message) {
    Fields fields(message);
    while (fields.more()) {
      std::uint32_t field, wire;
      Slice value;
      if (!fields.tag(&field, &wire) || wire != kBytes || !fields.bytes(&value) || !keep(field, value)) return false;
    }
    return true;
  }

 private:
  static bool once(Slice* place, Slice value) {
    if (place->data != nullptr) return false;  // protobuf takes the last: leave that to it
    *place = value;
    return true;
  }
  static bool append(Slice* places, std::size_t* count, Slice value) {
    if (*count == kMostInputs) return false;
    places[(*count)++] = value;
    return true;
  }
  bool keep(std::uint32_t field, Slice value) {
    switch (field) {
      case kModel:
        return once(&model, value);
      case kVersion:
        return once(&version, value);
      case kId:
        return once(&id, value);
      case kAsks:
        return read_asked(value, &asked);
      case kInputs:
        return append(inputs, &input_count, value);
      case kOutputs:
        return append(outputs, &output_count, value);
      case kRaw:
        return append(raw, &raw_count, value);
      default:
        return false;  // we do not know it
    }
  }
};

bool asks_for_all(const Parts& parts, const Signature& signature) {
  if (parts.output_count == 0) return true;
  if (parts.output_count != signature.outputs.size()) return false;
  for (std::size_t i = 0; i < parts.output_count; ++i) {
    Slice name;
    if (!read_output(parts.outputs[i], &name) || !equal(name, signature.outputs[i])) return false;
  }
  return true;
}

bool fits(const Input& given, const PlainInput& wanted, std::int64_t rows) {
  if (given.dims != wanted.tail.size() + 1 || given.shape[0] != rows || !equal(given.datatype, wanted.datatype)) {
    return false;
  }
  return std::equal(wanted.tail.begin(), wanted.tail.end(), given.shape + 1);
}

bool fill_inputs(const Parts& parts, const Signature& signature, Plain* found) {
  const std::size_t count = signature.inputs.size();
  if (parts.input_count != count || parts.raw_count != count) return false;
  found->raw.assign(count, Slice{});
  found->rows = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Input given;
    if (!read_input(parts.inputs[i], &given) || given.dims == 0) return false;
    if (i == 0) found->rows = given.shape[0];
    if (found->rows < 1 || found->rows > signature.most_rows) return false;
    std::size_t at = 0;
    while (at < count && !equal(given.name, signature.inputs[at].name)) ++at;
    if (at == count || found->raw[at].data != nullptr) return false;
    const PlainInput& wanted = signature.inputs[at];
    const Slice raw = parts.raw[i];
    if (!fits(given, wanted, found->rows)) return false;
    if (raw.size != wanted.row_bytes * static_cast<std::size_t>(found->rows) || !passes(raw, wanted.vet)) return false;
    found->raw[at] = raw;
  }
  return true;
}

constexpr char kQueueMs[] = "queue_ms";
constexpr std::size_t kQueueName = sizeof(kQueueMs) - 1;
// parameters["queue_ms"].double_param: a map's entry, its key, its value, a double in field 4.
constexpr std::size_t kQueueEntry = 2 + kQueueName + 2 + 9;

}  // namespace

bool is_plain(Slice message, const Signatures& signatures, Plain* found) {
  Parts parts;
  if (!parts.read(message) || parts.model.data == nullptr) return false;
  if (parts.version.size != 0 && !equal(parts.version, "1")) return false;
  if (parts.id.size > kMostId || !is_ascii(parts.id)) return false;
  for (const auto& signature : signatures) {
    if (!equal(parts.model, signature->model)) continue;
    if (!asks_for_all(parts, *signature) || !fill_inputs(parts, *signature, found)) return false;
    found->signature = signature;
    found->id = parts.id;
    found->asked = parts.asked;
    return true;
  }
  return false;
}

std::size_t raw_begins(Slice head) {
  Fields fields(head);
  while (fields.more()) {
    std::uint32_t field, wire;
    Slice value;
    if (!fields.tag(&field, &wire) || wire != kBytes) return 0;
    if (field == kRaw) {
      std::uint64_t size;
      return fields.varint(&size) ? static_cast<std::size_t>(fields.at() - head.data) : 0;
    }
    if (!fields.bytes(&value)) return 0;
  }
  return 0;
}

std::size_t answer_size(std::size_t common, Slice id, const std::vector<Slice>& outputs) {
  std::size_t size = common + 2 + kQueueEntry;
  if (id.size != 0) size += 1 + varint_size(id.size) + id.size;
  for (const Slice& one : outputs) size += 1 + varint_size(one.size) + one.size;
  return size;
}

void put_answer(std::uint8_t* to, Slice common, Slice id, double queue_ms, const std::vector<Slice>& outputs) {
  to = put(to, common.data, common.size);
  if (id.size != 0) {
    *to++ = kAnswerId;
    to = put_varint(to, id.size);
    to = put(to, id.data, id.size);
  }
  *to++ = kAnswerParameters;
  *to++ = kQueueEntry;
  *to++ = 1 << 3 | kBytes;
  *to++ = kQueueName;
  to = put(to, kQueueMs, kQueueName);
  *to++ = 2 << 3 | kBytes;
  *to++ = 9;
  *to++ = 4 << 3 | kFixed64;
  to = put(to, &queue_ms, sizeof queue_ms);  // little-endian, as protobuf has it
  for (const Slice& one : outputs) {
    *to++ = kAnswerRaw;
    to = put_varint(to, one.size);
    to = put(to, one.data, one.size);
  }
}

}  // namespace front
