"""A client of the traffic test, a process of its own: sends, looks at every answer, prints what it saw as JSON.

`python -m tests.support.serving.traffic_client URL KIND SEED REQUESTS SECONDS`; KIND is `unary`, `stream` or `rude`.
A rude one cancels, sets deadlines that cannot be kept and closes channels: it only checks the answers that it gets.
"""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from tests.support.serving.server import SERVICE
from tests.support.serving.traffic_family import NAME, TAGS, VISITOR, rows_of
from wire import inference_pb2

pb: Any = inference_pb2

AT_WORK = "at work"
"""What it says on standard error after its first round."""
WINDOW = 32
"""Requests under way at a time."""
USUAL = {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
"""What may become of any request when machine and server are pressed."""
PINNED = {
    None: USUAL,
    "steady": USUAL | {"UNAVAILABLE"},
    VISITOR: USUAL | {"UNAVAILABLE", "NOT_FOUND"},
}
"""The same by the variant that it wants: an arm may be out of use for a moment, and the visitor be gone."""
OF_WORDS = {
    "internal: ": "INTERNAL",
    "unexpected shape": "INVALID_ARGUMENT",
    "has no variant": "NOT_FOUND",
    "is not available now": "UNAVAILABLE",
    "is out of use": "UNAVAILABLE",
    "its deadline ": "DEADLINE_EXCEEDED",
    "cannot answer in time": "DEADLINE_EXCEEDED",
    "retry later": "RESOURCE_EXHAUSTED",
}
"""What an error in a stream says -> the code that the same request has outside of one."""


@dataclass(slots=True)
class Sent:
    """A request and what it may be answered."""

    message: Any
    number: int
    rows: int
    pinned: str | None
    allowed: set[str]


@dataclass(slots=True)
class Seen:
    """What came of it all. `wrong` tells what must not be; `lost` and `doubled` are requests without one answer."""

    sent: int = 0
    results: int = 0
    codes: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    lost: int = 0
    doubled: int = 0

    def result(self, sent: Sent, response: Any) -> None:
        """An answer: is it this request's, and right?"""
        self.results += 1
        variant = response.parameters["variant"].string_param
        expected = rows_of(sent.number, sent.rows)
        expected[:, 3] = TAGS.get(variant, -1.0)
        got = np.frombuffer(response.raw_output_contents[0], np.float32)
        if response.id != str(sent.number) or got.tobytes() != expected.tobytes():
            self.wrong.append(f"{sent.number}: {response.id} {variant} {got.tolist()}")
        if sent.pinned not in (None, variant) or "INVALID_ARGUMENT" in sent.allowed:
            self.wrong.append(f"{sent.number}: wanted {sent.pinned}, {sent.allowed}; got {variant}")

    def error(self, sent: Sent, code: str, text: str) -> None:
        """A refusal: may this request be refused so?"""
        self.codes[code] += 1
        if code not in sent.allowed:
            self.wrong.append(f"{sent.number}: {code} {text}")


class Requests:
    """Makes requests of many kinds, none like another."""

    def __init__(self, kind: str, seed: int) -> None:
        self.random = random.Random(seed)
        self._kind = kind
        self._number = seed << 20

    def next(self) -> Sent:
        """One more: of one row or a few, with or without an SLO or a pin; now and then a bad one."""
        self._number += 1
        draw = self.random.random()
        rows = self.random.choice((1, 1, 1, 2, 4))
        pinned = VISITOR if draw < 0.05 else "steady" if draw < 0.15 else None
        sent = Sent(pb.ModelInferRequest(), self._number, rows, pinned, PINNED[pinned])
        bad = self._kind != "rude" and draw > 0.97
        self._fill(sent, bad=bad)
        return sent

    def _fill(self, sent: Sent, *, bad: bool) -> None:
        message = sent.message
        message.model_name, message.id = NAME, str(sent.number)
        message.inputs.add(name="x", datatype="FP32", shape=(sent.rows, 5 if bad else 4))
        message.raw_input_contents.append(rows_of(sent.number, sent.rows).tobytes())
        message.parameters["slo_class"].string_param = self._kind
        if sent.pinned is not None:
            message.parameters["variant"].string_param = sent.pinned
        if slo_ms := self.random.choice((0, 0, 100, 2000)):
            message.parameters["slo_ms"].int64_param = slo_ms
        if bad:
            sent.allowed = {"INVALID_ARGUMENT"}


def unary(channel: grpc.Channel, requests: Requests, count: int, seen: Seen) -> None:
    """So many calls at once, all answered."""
    call = _unary_of(channel)
    sent = [requests.next() for _ in range(count)]
    futures = [call.future(one.message) for one in sent]
    seen.sent += count
    for one, future in zip(sent, futures, strict=True):
        code = future.code().name
        if code == "OK":
            seen.result(one, future.result())
        else:
            seen.error(one, code, future.details())


def stream(channel: grpc.Channel, requests: Requests, count: int, seen: Seen) -> None:
    """So many requests in one stream: each must have one answer, and the stream end well."""
    sent = {str(one.number): one for one in (requests.next() for _ in range(count))}
    seen.sent += count
    left = dict(sent)
    call = _stream_of(channel)(iter([one.message for one in sent.values()]))
    for answer in call:
        name = answer.infer_response.id
        one = left.pop(name, None)
        if one is None:
            seen.doubled += 1
        elif answer.error_message:
            seen.error(one, _code(answer.error_message), answer.error_message)
        else:
            seen.result(one, answer.infer_response)
    seen.lost += len(left)


def rude(channel: grpc.Channel, requests: Requests, count: int, seen: Seen) -> None:
    """Calls and a stream that are given up in every way; what is answered all the same must be right."""
    chance, call = requests.random, _unary_of(channel)
    sent = [requests.next() for _ in range(count)]
    seen.sent += count
    half = count // 2
    streamed = _stream_of(channel)(iter([one.message for one in sent[:half]]), timeout=5.0)
    futures = [
        (one, call.future(one.message, timeout=chance.choice((5.0, 5.0, 0.001, 0.02))))
        for one in sent[half:]
    ]
    for _, future in futures:
        if chance.random() < 0.5:
            future.cancel()
    names = {str(one.number): one for one in sent[:half]}
    _read_some(streamed, names, chance.randrange(half), seen)
    if chance.random() < 0.3:
        return  # whoever closes the channel ends what is under way
    for one, future in futures:
        if not future.cancelled() and future.code() is grpc.StatusCode.OK:
            seen.result(one, future.result())


def _read_some(call: Any, names: dict[str, Sent], count: int, seen: Seen) -> None:
    try:
        for answer, _ in zip(call, range(count), strict=False):
            if not answer.error_message:
                seen.result(names.pop(answer.infer_response.id), answer.infer_response)
    except grpc.RpcError:
        return
    call.cancel()


def _code(text: str) -> str:
    return next((code for words, code in OF_WORDS.items() if words in text), "UNKNOWN")


def _unary_of(channel: grpc.Channel) -> Any:
    return channel.unary_unary(
        SERVICE + "ModelInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelInferResponse.FromString,
    )


def _stream_of(channel: grpc.Channel) -> Any:
    return channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelStreamInferResponse.FromString,
    )


KINDS: dict[str, Callable[[grpc.Channel, Requests, int, Seen], None]] = {
    "unary": unary,
    "stream": stream,
    "rude": rude,
}


def _rounds(count: int, until_s: float) -> Iterator[int]:
    while count > 0 and time.monotonic() < until_s:
        yield min(WINDOW, count)
        count -= WINDOW


def main(url: str, kind: str, seed: str, count: str, seconds: str) -> None:
    """Send until so many are sent, or the time is over; then print what was seen."""
    seen, requests = Seen(), Requests(kind, int(seed))
    channel = _open(url)
    for number, size in enumerate(_rounds(int(count), time.monotonic() + float(seconds))):
        if number == 1:
            print(AT_WORK, file=sys.stderr, flush=True)  # noqa: T201 - whoever is to kill it waits for that
        KINDS[kind](channel, requests, size, seen)
        if kind == "rude":
            channel.close()
            channel = _open(url)
    channel.close()
    print(json.dumps({name: getattr(seen, name) for name in Seen.__slots__}))  # noqa: T201 - it is what the parent reads


def _open(url: str) -> grpc.Channel:
    return grpc.insecure_channel(url, [("grpc.use_local_subchannel_pool", 1)])


if __name__ == "__main__":
    main(*sys.argv[1:])
