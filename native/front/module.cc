// The core for Python, by the stable ABI: batches of events out, batches of answers in. The interpreter's lock is let
// go wherever the core's is taken; nothing here takes it while it holds the core's.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core.h"
#include "plain.h"

namespace {

using front::Bounds;
using front::Core;
using front::Event;
using front::Exchange;
using front::Kind;
using front::Memory;
using front::Method;
using front::Ref;
using front::Slice;

PyTypeObject *core_type, *exchange_type, *raw_type;

struct PyCore {
  PyObject_HEAD
  Core* core;
  std::vector<Ref<Exchange>>* over;  // of the last poll: once its events are handled, nobody needs their state
};

struct PyExchange {
  PyObject_HEAD
  Exchange* exchange;
  PyObject* core;
  PyObject* state;
};

struct PyRaw {
  PyObject_HEAD
  Exchange* exchange;
  Slice bytes;
};

// A Python object that goes with its scope.
class Object {
 public:
  explicit Object(PyObject* one = nullptr) : one_(one) {}
  ~Object() { Py_XDECREF(one_); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  Object(Object&& other) noexcept : one_(std::exchange(other.one_, nullptr)) {}
  PyObject* get() const { return one_; }
  PyObject* release() { return std::exchange(one_, nullptr); }
  explicit operator bool() const { return one_ != nullptr; }

 private:
  PyObject* one_;
};

// The interpreter's lock is free within its scope.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() { PyEval_RestoreThread(state_); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// Runs `act`; what it throws is raised. `act` returns a new reference.
template <class Act>
PyObject* raising(Act&& act) noexcept {
  try {
    return act();
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
}

PyObject* none() {
  Py_INCREF(Py_None);
  return Py_None;
}

bool text_of(PyObject* given, std::string* text) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(given, &size);
  if (bytes == nullptr) return false;
  text->assign(bytes, static_cast<std::size_t>(size));
  return true;
}

// A buffer that Python lends for a scope.
class Borrowed {
 public:
  bool get(PyObject* from, int flags) {
    has_ = PyObject_GetBuffer(from, &view_, flags) == 0;
    return has_;
  }
  Borrowed() = default;
  Borrowed(Borrowed&& other) noexcept : view_(other.view_), has_(std::exchange(other.has_, false)) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    if (has_) PyBuffer_Release(&view_);
  }
  std::uint8_t* data() const { return static_cast<std::uint8_t*>(view_.buf); }
  std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
  bool has_ = false;
};

// A message as gRPC frames it, with room for `size` bytes.
Ref<Memory> framed(std::size_t size, std::uint8_t** place) {
  Ref<Memory> made = Ref<Memory>::adopt(new Memory(front::kPrefix + size, 0));
  std::size_t given = 0;
  std::uint8_t* bytes = made->room(front::kPrefix + size, &given);
  bytes[0] = 0;
  for (int i = 0; i < 4; ++i) bytes[1 + i] = static_cast<std::uint8_t>(size >> (8 * (3 - i)));
  made->fill(front::kPrefix + size);
  *place = bytes + front::kPrefix;
  return made;
}

Ref<Memory> message_of(const Borrowed& bytes) {
  std::uint8_t* place;
  Ref<Memory> made = framed(bytes.size(), &place);
  if (bytes.size() != 0) std::memcpy(place, bytes.data(), bytes.size());
  return made;
}

bool trailers_of(PyObject* given, front::Trailers* trailers) {
  const Py_ssize_t count = PySequence_Size(given);
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Object one(PySequence_GetItem(given, i));
    if (!one) return false;
    const Object name(PySequence_GetItem(one.get(), 0)), value(PySequence_GetItem(one.get(), 1));
    std::string key, text;
    if (!name || !value || !text_of(name.get(), &key) || !text_of(value.get(), &text)) return false;
    trailers->emplace_back(std::move(key), std::move(text));
  }
  return count >= 0;
}

// ---- Exchange

Exchange* exchange_of(PyObject* self) { return reinterpret_cast<PyExchange*>(self)->exchange; }

// The Python object of an exchange, a new reference; the exchange keeps one until it is over.
PyObject* object_of(PyObject* core, Exchange* exchange) {
  auto* known = static_cast<PyExchange*>(exchange->owner);
  if (known == nullptr) {
    known = PyObject_New(PyExchange, exchange_type);
    if (known == nullptr) return nullptr;
    exchange->take();
    known->exchange = exchange;
    known->core = core;
    Py_INCREF(core);
    known->state = nullptr;
    exchange->owner = known;  // its reference
  }
  auto* object = reinterpret_cast<PyObject*>(known);
  Py_INCREF(object);
  return object;
}

void forget(Exchange* exchange) {
  auto* known = static_cast<PyExchange*>(exchange->owner);
  exchange->owner = nullptr;
  if (known == nullptr) return;
  Py_CLEAR(known->state);
  Py_DECREF(reinterpret_cast<PyObject*>(known));
}

void exchange_dealloc(PyObject* self) {
  auto* one = reinterpret_cast<PyExchange*>(self);
  Py_XDECREF(one->state);
  one->exchange->let_go();
  Py_DECREF(one->core);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* get_state(PyObject* self, void*) {
  PyObject* state = reinterpret_cast<PyExchange*>(self)->state;
  if (state == nullptr) return none();
  Py_INCREF(state);
  return state;
}

int set_state(PyObject* self, PyObject* value, void*) {
  auto* one = reinterpret_cast<PyExchange*>(self);
  PyObject* before = one->state;
  Py_XINCREF(value);
  one->state = value == Py_None ? (Py_XDECREF(value), nullptr) : value;
  Py_XDECREF(before);
  return 0;
}

PyObject* get_method(PyObject* self, void*) {
  const Method* method = exchange_of(self)->method;
  return PyLong_FromLong(method == nullptr ? -1 : method->index);
}
PyObject* get_peer(PyObject* self, void*) {
  const std::string& peer = exchange_of(self)->peer;
  return PyBytes_FromStringAndSize(peer.data(), static_cast<Py_ssize_t>(peer.size()));
}
PyObject* get_deadline(PyObject* self, void*) {
  const double deadline = exchange_of(self)->deadline;
  return deadline == front::kNever ? none() : PyFloat_FromDouble(deadline);
}
PyObject* get_arrival(PyObject* self, void*) { return PyFloat_FromDouble(exchange_of(self)->arrival); }
PyObject* get_is_open(PyObject* self, void*) { return PyBool_FromLong(exchange_of(self)->is_open); }
PyObject* get_is_over(PyObject* self, void*) { return PyBool_FromLong(exchange_of(self)->is_over); }
PyObject* get_rows(PyObject* self, void*) { return PyLong_FromLongLong(exchange_of(self)->plain.rows); }
PyObject* get_id(PyObject* self, void*) {
  const Slice id = exchange_of(self)->plain.id;
  return PyUnicode_FromStringAndSize(reinterpret_cast<const char*>(id.data), static_cast<Py_ssize_t>(id.size));
}
PyObject* get_asked(PyObject* self, void*) {
  const front::Asked& asked = exchange_of(self)->plain.asked;
  if (!asked.any) return none();
  Object made(PyTuple_New(static_cast<Py_ssize_t>(front::kMostAsked)));
  for (std::size_t i = 0; made && i < front::kMostAsked; ++i) {
    PyObject* one = asked.has[i] ? PyFloat_FromDouble(asked.values[i]) : none();
    if (one == nullptr || PyTuple_SetItem(made.get(), static_cast<Py_ssize_t>(i), one) != 0) return nullptr;
  }
  return made.release();
}
PyObject* get_gives_up(PyObject* self, void*) { return PyFloat_FromDouble(exchange_of(self)->deadline); }

PyObject* exchange_go_long(PyObject* self, PyObject*) {
  Exchange* exchange = exchange_of(self);
  if (!exchange->is_plain.exchange(false)) return none();
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(exchange->request->data()),
                                   static_cast<Py_ssize_t>(exchange->request->size()));
}

PyObject* exchange_reply(PyObject* self, PyObject* args) {
  PyObject *message, *given;
  if (!PyArg_ParseTuple(args, "OO", &message, &given)) return nullptr;
  return raising([&]() -> PyObject* {
    Borrowed bytes;
    front::Trailers trailers;
    if (!bytes.get(message, PyBUF_SIMPLE) || !trailers_of(given, &trailers)) return nullptr;
    Exchange* exchange = exchange_of(self);
    bool done = false;
    {
      const Unlocked unlocked;
      done = exchange->core->reply(exchange, message_of(bytes), std::move(trailers));
    }
    return PyBool_FromLong(done);
  });
}

PyObject* exchange_send(PyObject* self, PyObject* message) {
  return raising([&]() -> PyObject* {
    Borrowed bytes;
    if (!bytes.get(message, PyBUF_SIMPLE)) return nullptr;
    Exchange* exchange = exchange_of(self);
    bool done = false;
    {
      const Unlocked unlocked;
      done = exchange->core->send(exchange, message_of(bytes));
    }
    return PyBool_FromLong(done);
  });
}

PyObject* exchange_finish(PyObject* self, PyObject* args) {
  int code;
  const char* details;
  Py_ssize_t size;
  PyObject* given;
  if (!PyArg_ParseTuple(args, "iy#O", &code, &details, &size, &given)) return nullptr;
  return raising([&]() -> PyObject* {
    front::Trailers trailers;
    if (!trailers_of(given, &trailers)) return nullptr;
    std::string text(details, static_cast<std::size_t>(size));
    bool done = false;
    {
      const Unlocked unlocked;
      done = exchange_of(self)->core->finish(exchange_of(self), code, std::move(text), std::move(trailers));
    }
    return PyBool_FromLong(done);
  });
}

PyObject* exchange_abort(PyObject* self, PyObject* args) {
  int code;
  const char* details;
  Py_ssize_t size;
  if (!PyArg_ParseTuple(args, "iy#", &code, &details, &size)) return nullptr;
  return raising([&]() -> PyObject* {
    const std::string text(details, static_cast<std::size_t>(size));
    bool done = false;
    {
      const Unlocked unlocked;
      done = exchange_of(self)->core->abort(exchange_of(self), code, text);
    }
    return PyBool_FromLong(done);
  });
}

PyObject* exchange_give_up(PyObject* self, PyObject* given) {
  std::string why;
  if (!text_of(given, &why)) return nullptr;
  return raising([&]() -> PyObject* {
    {
      const Unlocked unlocked;
      exchange_of(self)->core->give_up(exchange_of(self), why);
    }
    return none();
  });
}

PyObject* exchange_unread(PyObject* self, PyObject*) {
  return raising([&]() -> PyObject* {
    std::string why;
    {
      const Unlocked unlocked;
      why = exchange_of(self)->core->unread(exchange_of(self));
    }
    return PyUnicode_FromStringAndSize(why.data(), static_cast<Py_ssize_t>(why.size()));
  });
}

PyObject* exchange_unsent(PyObject* self, PyObject*) {
  return raising([&]() -> PyObject* {
    std::size_t count = 0;
    {
      const Unlocked unlocked;
      count = exchange_of(self)->core->unsent(exchange_of(self));
    }
    return PyLong_FromSize_t(count);
  });
}

PyObject* exchange_ask(PyObject* self, PyObject*) {
  return raising([&]() -> PyObject* {
    {
      const Unlocked unlocked;
      exchange_of(self)->core->ask(exchange_of(self));
    }
    return none();
  });
}

PyObject* exchange_pause(PyObject* self, PyObject* given) {
  const int paused = PyObject_IsTrue(given);
  if (paused < 0) return nullptr;
  return raising([&]() -> PyObject* {
    {
      const Unlocked unlocked;
      exchange_of(self)->core->pause(exchange_of(self), paused != 0);
    }
    return none();
  });
}

PyObject* exchange_raw(PyObject* self, PyObject* given) {
  const std::size_t at = PyLong_AsSize_t(given);
  if (PyErr_Occurred() != nullptr) return nullptr;
  Exchange* exchange = exchange_of(self);
  if (at >= exchange->plain.raw.size()) {
    PyErr_SetString(PyExc_IndexError, "no such input");
    return nullptr;
  }
  PyRaw* made = PyObject_New(PyRaw, raw_type);
  if (made == nullptr) return nullptr;
  exchange->take();
  made->exchange = exchange;
  made->bytes = exchange->plain.raw[at];
  return reinterpret_cast<PyObject*>(made);
}

PyMethodDef exchange_methods[] = {
    {"reply", exchange_reply, METH_VARARGS, "Answer a unary call: (message, trailers). False where it has an answer."},
    {"send", exchange_send, METH_O, "Queue one message of a streamed answer."},
    {"finish", exchange_finish, METH_VARARGS, "End after what is queued: (code, details, trailers)."},
    {"abort", exchange_abort, METH_VARARGS, "End at once: (code, details)."},
    {"give_up", exchange_give_up, METH_O, "End a call whose client takes no answers, with this text."},
    {"unread", exchange_unread, METH_NOARGS, "Why this client is to have no answer now; '': it may."},
    {"unsent", exchange_unsent, METH_NOARGS, "Messages that wait to be taken."},
    {"ask", exchange_ask, METH_NOARGS, "Hand over the next message of a stream."},
    {"pause", exchange_pause, METH_O, "Hand over no more messages (true), or again (false)."},
    {"go_long", exchange_go_long, METH_NOARGS, "A plain request as it came, copied: it is a message like others from now on."},
    {"raw", exchange_raw, METH_O, "The bytes of this input of a plain request, as a buffer."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef exchange_members[] = {
    {"state", get_state, set_state, "Python's own; gone once the call is over.", nullptr},
    {"method", get_method, nullptr, "Index of its method.", nullptr},
    {"peer", get_peer, nullptr, "Its connection.", nullptr},
    {"deadline_s", get_deadline, nullptr, "When its client gives up, on time.monotonic's clock, or None.", nullptr},
    {"arrival_s", get_arrival, nullptr, "When the message in hand came.", nullptr},
    {"is_open", get_is_open, nullptr, "Not answered, and not cancelled.", nullptr},
    {"is_over", get_is_over, nullptr, "Its stream is closed.", nullptr},
    {"rows", get_rows, nullptr, "Of a plain request.", nullptr},
    {"id", get_id, nullptr, "Of a plain request.", nullptr},
    {"asked", get_asked, nullptr, "Of a plain request: numbers or None in the order of `asks`; None: it asks for nothing.",
     nullptr},
    {"gives_up_s", get_gives_up, nullptr, "As deadline_s; infinite for None.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot exchange_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(exchange_dealloc)},
    {Py_tp_methods, exchange_methods},
    {Py_tp_getset, exchange_members},
    {0, nullptr},
};
PyType_Spec exchange_spec = {"server.rpc.native._core.Exchange", sizeof(PyExchange), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, exchange_slots};

// ---- Raw

void raw_dealloc(PyObject* self) {
  reinterpret_cast<PyRaw*>(self)->exchange->let_go();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

int raw_buffer(PyObject* self, Py_buffer* view, int flags) {
  const Slice bytes = reinterpret_cast<PyRaw*>(self)->bytes;
  return PyBuffer_FillInfo(view, self, const_cast<std::uint8_t*>(bytes.data), static_cast<Py_ssize_t>(bytes.size), 1,
                           flags);
}

PyType_Slot raw_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(raw_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(raw_buffer)},
    {0, nullptr},
};
PyType_Spec raw_spec = {"server.rpc.native._core.Raw", sizeof(PyRaw), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, raw_slots};

// ---- Core

Core& core_of(PyObject* self) { return *reinterpret_cast<PyCore*>(self)->core; }

bool methods_of(PyObject* given, std::vector<Method>* methods) {
  const Py_ssize_t count = PySequence_Size(given);
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Object one(PySequence_GetItem(given, i));
    const char* path;
    int streaming, plain;
    Py_ssize_t most_bytes;
    if (!one || !PyArg_ParseTuple(one.get(), "sppn", &path, &streaming, &plain, &most_bytes)) return false;
    Method method;
    method.path = path;
    method.index = static_cast<int>(i);
    method.streaming = streaming != 0;
    method.plain = plain != 0;
    method.most_bytes = static_cast<std::size_t>(most_bytes);
    methods->push_back(std::move(method));
  }
  return count >= 0;
}

PyObject* core_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"methods",   "message_bytes",     "unsent_bytes", "connections", "streams",
                                "calls",     "stall_s",           "idle_s",       "age_s",       "keepalive_s",
                                "coming_bytes", nullptr};
  PyObject* given;
  Bounds bounds;
  Py_ssize_t message_bytes;
  long long unsent, connections, streams, calls, coming = bounds.coming_bytes;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OnLLLLdddd|L", const_cast<char**>(names), &given, &message_bytes,
                                   &unsent, &connections, &streams, &calls, &bounds.stall, &bounds.idle, &bounds.age,
                                   &bounds.keepalive, &coming)) {
    return nullptr;
  }
  bounds.message_bytes = static_cast<std::size_t>(message_bytes);
  bounds.unsent_bytes = unsent;
  bounds.connections = connections;
  bounds.streams = streams;
  bounds.calls = calls;
  bounds.coming_bytes = coming;
  return raising([&]() -> PyObject* {
    std::vector<Method> methods;
    if (!methods_of(given, &methods)) return nullptr;
    auto core = std::make_unique<Core>(bounds, std::move(methods));
    PyCore* made = PyObject_New(PyCore, type);
    if (made == nullptr) return nullptr;
    made->core = core.release();
    made->over = new std::vector<Ref<Exchange>>;
    return reinterpret_cast<PyObject*>(made);
  });
}

void core_dealloc(PyObject* self) {
  Core* core = reinterpret_cast<PyCore*>(self)->core;
  {
    const Unlocked unlocked;
    core->close();
  }
  delete reinterpret_cast<PyCore*>(self)->over;
  delete core;  // nobody has an exchange: it would have kept the core
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* core_bind(PyObject* self, PyObject* args) {
  const char* host;
  int port;
  if (!PyArg_ParseTuple(args, "si", &host, &port)) return nullptr;
  return raising([&]() -> PyObject* {
    std::string why;
    const int bound = core_of(self).bind(host, port, &why);
    if (bound < 0) return PyErr_SetString(PyExc_OSError, why.c_str()), nullptr;
    return PyLong_FromLong(bound);
  });
}

PyObject* core_bind_unix(PyObject* self, PyObject* given) {
  std::string path, why;
  if (!text_of(given, &path)) return nullptr;
  if (core_of(self).bind_unix(path, &why) < 0) return PyErr_SetString(PyExc_OSError, why.c_str()), nullptr;
  return none();
}

PyObject* core_start(PyObject* self, PyObject*) {
  {
    const Unlocked unlocked;
    core_of(self).start();
  }
  return none();
}

// The exchange at this place of a list; none, and an error is set, where it is something else.
Exchange* exchange_at(PyObject* exchanges, Py_ssize_t at) {
  PyObject* one = PyList_GetItem(exchanges, at);
  if (one == nullptr) return nullptr;
  if (PyObject_TypeCheck(one, exchange_type)) return exchange_of(one);
  PyErr_SetString(PyExc_TypeError, "no exchange");
  return nullptr;
}

// Buffers of all arrays of a sequence; false, and an error is set, where one lends none.
bool borrow_all(PyObject* given, int flags, std::vector<Borrowed>* arrays) {
  const Py_ssize_t count = PySequence_Size(given);
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Object one(PySequence_GetItem(given, i));
    arrays->emplace_back();
    if (!one || !arrays->back().get(one.get(), flags)) return false;
  }
  return count >= 0;
}

// (key, [exchanges]) of those with this key.
PyObject* group_of(PyObject* groups, std::int64_t key) {
  for (Py_ssize_t i = PyList_Size(groups); i-- > 0;) {
    PyObject* one = PyList_GetItem(groups, i);
    if (PyLong_AsLongLong(PyTuple_GetItem(one, 0)) == key) return PyTuple_GetItem(one, 1);
  }
  const Object exchanges(PyList_New(0));
  const Object pair(exchanges ? Py_BuildValue("LO", static_cast<long long>(key), exchanges.get()) : nullptr);
  if (!pair || PyList_Append(groups, pair.get()) != 0) return nullptr;
  return exchanges.get();  // the pair has it
}

bool add_event(PyObject* core, const Event& event, PyObject* plain, PyObject* others) {
  const Object exchange(object_of(core, event.exchange.get()));
  if (!exchange) return false;
  if (event.kind == Kind::plain) {
    PyObject* group = group_of(plain, event.exchange->plain.signature->key);
    return group != nullptr && PyList_Append(group, exchange.get()) == 0;
  }
  const Object what(event.kind == Kind::message
                        ? PyBytes_FromStringAndSize(reinterpret_cast<const char*>(event.message->data()),
                                                    static_cast<Py_ssize_t>(event.message->size()))
                        : none());
  if (!what) return false;
  const Object made(Py_BuildValue("iOOi", static_cast<int>(event.kind), exchange.get(), what.get(), event.packed ? 1 : 0));
  return made && PyList_Append(others, made.get()) == 0;
}

PyObject* core_poll(PyObject* self, PyObject* given) {
  const double until = PyFloat_AsDouble(given);
  if (PyErr_Occurred() != nullptr) return nullptr;
  return raising([&]() -> PyObject* {
    std::vector<Event> events;
    std::vector<Ref<Exchange>>& over = *reinterpret_cast<PyCore*>(self)->over;
    for (const Ref<Exchange>& one : over) forget(one.get());
    over.clear();
    bool goes_on = false;
    {
      const Unlocked unlocked;
      goes_on = core_of(self).poll(until, &events, &over);
    }
    const Object plain(PyList_New(0)), others(PyList_New(0));
    bool good = plain && others;
    for (const Event& event : events) good = good && add_event(self, event, plain.get(), others.get());
    const Object ended(PyList_New(0));
    for (const Ref<Exchange>& one : over) {
      auto* known = static_cast<PyObject*>(one->owner);
      const bool tells = known != nullptr && !one->is_plain;
      good = good && ended && (!tells || PyList_Append(ended.get(), known) == 0);
    }
    if (!good) return nullptr;
    return Py_BuildValue("OOOO", plain.get(), others.get(), ended.get(), goes_on ? Py_True : Py_False);
  });
}

PyObject* core_wake(PyObject* self, PyObject*) {
  core_of(self).wake();
  return none();
}

bool input_of(PyObject* given, front::PlainInput* input) {
  const char *name, *datatype;
  PyObject* tail;
  Py_ssize_t row_bytes;
  int vet;
  if (!PyArg_ParseTuple(given, "ssOni", &name, &datatype, &tail, &row_bytes, &vet)) return false;
  input->name = name;
  input->datatype = datatype;
  input->row_bytes = static_cast<std::size_t>(row_bytes);
  input->vet = static_cast<front::Vet>(vet);
  const Py_ssize_t dims = PySequence_Size(tail);
  for (Py_ssize_t i = 0; i < dims; ++i) {
    const Object one(PySequence_GetItem(tail, i));
    input->tail.push_back(one ? PyLong_AsLongLong(one.get()) : 0);
  }
  return dims >= 0 && PyErr_Occurred() == nullptr;
}

bool signature_of(PyObject* given, front::Signature* signature) {
  long long key, most_rows;
  const char* model;
  PyObject *inputs, *outputs;
  if (!PyArg_ParseTuple(given, "LsOOL", &key, &model, &inputs, &outputs, &most_rows)) return false;
  signature->key = key;
  signature->model = model;
  signature->most_rows = most_rows;
  const Py_ssize_t input_count = PySequence_Size(inputs), output_count = PySequence_Size(outputs);
  for (Py_ssize_t i = 0; i < input_count; ++i) {
    const Object one(PySequence_GetItem(inputs, i));
    signature->inputs.emplace_back();
    if (!one || !input_of(one.get(), &signature->inputs.back())) return false;
  }
  for (Py_ssize_t i = 0; i < output_count; ++i) {
    const Object one(PySequence_GetItem(outputs, i));
    signature->outputs.emplace_back();
    if (!one || !text_of(one.get(), &signature->outputs.back())) return false;
  }
  return input_count >= 0 && output_count >= 0;
}

PyObject* core_publish(PyObject* self, PyObject* given) {
  return raising([&]() -> PyObject* {
    front::Signatures signatures;
    const Py_ssize_t count = PySequence_Size(given);
    for (Py_ssize_t i = 0; i < count; ++i) {
      const Object one(PySequence_GetItem(given, i));
      auto signature = std::make_shared<front::Signature>();
      if (!one || !signature_of(one.get(), signature.get())) return nullptr;
      signatures.push_back(std::move(signature));
    }
    if (count < 0) return nullptr;
    {
      const Unlocked unlocked;
      core_of(self).publish(std::move(signatures));
    }
    return none();
  });
}

// reply_all(exchanges, common, outputs, rows, firsts, waited_ms)
PyObject* core_reply_all(PyObject* self, PyObject* args) {
  PyObject *exchanges, *outputs, *firsts, *waits;
  const char* common_bytes;
  Py_ssize_t common_size, rows;
  if (!PyArg_ParseTuple(args, "Oy#OnOO", &exchanges, &common_bytes, &common_size, &outputs, &rows, &firsts, &waits)) {
    return nullptr;
  }
  return raising([&]() -> PyObject* {
    const Slice common{reinterpret_cast<const std::uint8_t*>(common_bytes), static_cast<std::size_t>(common_size)};
    std::vector<Borrowed> arrays;
    if (!borrow_all(outputs, PyBUF_C_CONTIGUOUS, &arrays)) return nullptr;
    struct Asked {
      Exchange* exchange;
      std::size_t first;
      double waited;
    };
    std::vector<Asked> asked;
    const auto all = static_cast<std::size_t>(rows);
    for (Py_ssize_t i = 0, count = PyList_Size(exchanges); i < count; ++i) {
      Exchange* exchange = exchange_at(exchanges, i);
      if (exchange == nullptr) return nullptr;
      const std::size_t first = PyLong_AsSize_t(PyList_GetItem(firsts, i));
      const double waited = PyFloat_AsDouble(PyList_GetItem(waits, i));
      if (PyErr_Occurred() != nullptr) return nullptr;
      if (first > all || static_cast<std::size_t>(exchange->plain.rows) > all - first) {
        return PyErr_SetString(PyExc_IndexError, "rows that the outputs do not have"), nullptr;
      }
      asked.push_back({exchange, first, waited});
    }
    std::vector<std::string> why;
    {
      const Unlocked unlocked;
      std::vector<std::pair<Exchange*, Ref<Memory>>> answers;
      std::vector<Slice> parts(arrays.size());
      for (const Asked& one : asked) {
        for (std::size_t i = 0; i < arrays.size(); ++i) {
          const std::size_t row_bytes = arrays[i].size() / all;
          parts[i] = Slice{arrays[i].data() + one.first * row_bytes,
                           static_cast<std::size_t>(one.exchange->plain.rows) * row_bytes};
        }
        const Slice id = one.exchange->plain.id;
        std::uint8_t* place;
        Ref<Memory> made = framed(front::answer_size(common.size, id, parts), &place);
        front::put_answer(place, common, id, one.waited, parts);
        answers.emplace_back(one.exchange, std::move(made));
      }
      core_of(self).reply_all(answers, &why);
    }
    Object withheld(PyList_New(0));
    for (std::size_t i = 0; i < why.size(); ++i) {
      if (why[i].empty()) continue;
      const Object one(Py_BuildValue("ns#", static_cast<Py_ssize_t>(i), why[i].data(),
                                     static_cast<Py_ssize_t>(why[i].size())));
      if (!withheld || !one || PyList_Append(withheld.get(), one.get()) != 0) return nullptr;
    }
    return withheld.release();
  });
}

PyObject* core_stop_accepting(PyObject* self, PyObject* args) {
  int code;
  const char* details;
  if (!PyArg_ParseTuple(args, "is", &code, &details)) return nullptr;
  const std::string text(details);
  {
    const Unlocked unlocked;
    core_of(self).stop_accepting_calls(code, text);
  }
  return none();
}

PyObject* core_wait_empty(PyObject* self, PyObject* given) {
  const double seconds = PyFloat_AsDouble(given);
  if (PyErr_Occurred() != nullptr) return nullptr;
  bool is_empty = false;
  {
    const Unlocked unlocked;
    is_empty = core_of(self).wait_empty(seconds);
  }
  return PyBool_FromLong(is_empty);
}

PyObject* core_goodbye(PyObject* self, PyObject*) {
  {
    const Unlocked unlocked;
    core_of(self).goodbye();
  }
  return none();
}

PyObject* core_close(PyObject* self, PyObject*) {
  {
    const Unlocked unlocked;
    core_of(self).close();
  }
  return none();
}

PyObject* core_busy_ports(PyObject* self, PyObject*) {
  return raising([&]() -> PyObject* {
    std::vector<int> ports;
    {
      const Unlocked unlocked;
      ports = core_of(self).busy_ports();
    }
    Object made(PyList_New(0));
    for (const int port : ports) {
      const Object one(PyLong_FromLong(port));
      if (!made || !one || PyList_Append(made.get(), one.get()) != 0) return nullptr;
    }
    return made.release();
  });
}

PyObject* core_connected(PyObject* self, PyObject*) {
  std::size_t count = 0;
  {
    const Unlocked unlocked;
    count = core_of(self).connected();
  }
  return PyLong_FromSize_t(count);
}

PyObject* core_calls(PyObject* self, PyObject*) {
  std::int64_t count = 0;
  {
    const Unlocked unlocked;
    count = core_of(self).calls();
  }
  return PyLong_FromLongLong(count);
}

PyMethodDef core_methods[] = {
    {"bind", core_bind, METH_VARARGS, "Listen on (host, port); the port. Raises OSError."},
    {"bind_unix", core_bind_unix, METH_O, "Listen on a Unix socket at this path. Raises OSError."},
    {"start", core_start, METH_NOARGS, "Begin to accept connections."},
    {"poll", core_poll, METH_O, "Wait for events until then: (plain requests by key, other events, calls that are over, whether it goes "
     "on)."},
    {"wake", core_wake, METH_NOARGS, "Have `poll` return."},
    {"publish", core_publish, METH_O, "What plain requests look like from now on."},
    {"reply_all", core_reply_all, METH_VARARGS, "Answer plain requests of one batch; [(which, why)] of those withheld."},
    {"stop_accepting_calls", core_stop_accepting, METH_VARARGS, "Refuse new calls: (code, details)."},
    {"wait_empty", core_wait_empty, METH_O, "Wait so long (s) for all calls to end; whether they have."},
    {"goodbye", core_goodbye, METH_NOARGS, "No new connections or streams."},
    {"close", core_close, METH_NOARGS, "End all connections; `poll` says so."},
    {"busy_ports", core_busy_ports, METH_NOARGS, "Ports of clients that have calls."},
    {"connected", core_connected, METH_NOARGS, "Connections that are open."},
    {"calls", core_calls, METH_NOARGS, "Calls that are not over."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot core_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(core_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(core_dealloc)},
    {Py_tp_methods, core_methods},
    {0, nullptr},
};
PyType_Spec core_spec = {"server.rpc.native._core.Core", sizeof(PyCore), 0, Py_TPFLAGS_DEFAULT, core_slots};

// gather(exchanges, arrays): every input's rows, one request after the other, into a writable array each.
PyObject* gather(PyObject*, PyObject* args) {
  PyObject *exchanges, *given;
  if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &exchanges, &given)) return nullptr;
  return raising([&]() -> PyObject* {
    std::vector<Borrowed> arrays;
    if (!borrow_all(given, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE, &arrays)) return nullptr;
    std::vector<const Exchange*> from;
    std::vector<std::size_t> sizes(arrays.size(), 0);
    for (Py_ssize_t i = 0, count = PyList_Size(exchanges); i < count; ++i) {
      from.push_back(exchange_at(exchanges, i));
      if (from.back() == nullptr) return nullptr;
      if (from.back()->plain.raw.size() != arrays.size()) {
        return PyErr_SetString(PyExc_ValueError, "as many arrays as inputs are needed"), nullptr;
      }
      for (std::size_t k = 0; k < arrays.size(); ++k) sizes[k] += from.back()->plain.raw[k].size;
    }
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      if (sizes[k] > arrays[k].size()) return PyErr_SetString(PyExc_ValueError, "an array is too small"), nullptr;
    }
    const auto copy = [&] {
      for (std::size_t k = 0; k < arrays.size(); ++k) {
        std::uint8_t* to = arrays[k].data();
        for (const Exchange* one : from) {
          const Slice raw = one->plain.raw[k];
          std::memcpy(to, raw.data, raw.size);
          to += raw.size;
        }
      }
    };
    if (!sizes.empty() && sizes[0] > (64 << 10)) {
      const Unlocked unlocked;
      copy();
    } else {
      copy();
    }
    return none();
  });
}

PyMethodDef functions[] = {
    {"gather", gather, METH_VARARGS, "Copy the rows of plain requests, one after the other, into an array an input."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_core", "gRPC over HTTP/2 in C++, see native/front.", -1, functions,
                          nullptr,               nullptr, nullptr, nullptr};

PyTypeObject* add_type(PyObject* module, PyType_Spec* spec, const char* name) {
  PyObject* type = PyType_FromSpec(spec);
  if (type == nullptr || PyModule_AddObjectRef(module, name, type) != 0) return nullptr;
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

PyMODINIT_FUNC PyInit__core() {
  Object module(PyModule_Create(&definition));
  if (!module) return nullptr;
  core_type = add_type(module.get(), &core_spec, "Core");
  exchange_type = add_type(module.get(), &exchange_spec, "Exchange");
  raw_type = add_type(module.get(), &raw_spec, "Raw");
  if (core_type == nullptr || exchange_type == nullptr || raw_type == nullptr) return nullptr;
  const nghttp2_info* library = nghttp2_version(0);
  Object asks(PyTuple_New(static_cast<Py_ssize_t>(front::kMostAsked)));
  for (std::size_t i = 0; asks && i < front::kMostAsked; ++i) {
    PyObject* name = PyUnicode_InternFromString(front::kAsked[i]);
    if (name == nullptr || PyTuple_SetItem(asks.get(), static_cast<Py_ssize_t>(i), name) != 0) return nullptr;
  }
  if (!asks || PyModule_AddObjectRef(module.get(), "asks", asks.get()) != 0) return nullptr;
  if (PyModule_AddStringConstant(module.get(), "sources", FRONT_SHA256) != 0 ||
      PyModule_AddStringConstant(module.get(), "nghttp2", library->version_str) != 0) {
    return nullptr;
  }
  return module.release();
}
