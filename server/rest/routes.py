"""The pages of the Open Inference Protocol over HTTP, and the answers to what is none of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import BadInput, NotReady, Overloaded, TooLarge, Unsupported
from server.rest import json_text
from server.rest.bodies import Bodies
from server.rest.codes import ending_of, words
from server.rest.facts import Facts
from server.rest.infer import Inference, Sent
from server.texts import shown

_MOST_PENDING = 16
"""Loads and unloads that may wait."""
Page = Callable[[Request], Awaitable[Sent | None]]


class RestPages:
    """A page a method; each gives its answer, or raises RequestError."""

    def __init__(self, facts: Facts, inference: Inference, bodies: Bodies) -> None:
        self._facts = facts
        self._inference = inference
        self._bodies = bodies
        self._pending = 0
        self._repository = ThreadPoolExecutor(1, thread_name_prefix="rest-repository")
        self._openapi = files("server.rest").joinpath("openapi.json").read_bytes()

    def app(self) -> Starlette:
        """The application, for an ASGI server."""
        model, index = "/v2/models/{model}", "/v2/repository/index"
        ask = "/v2/repository/models/{model}/"
        routes = [
            *(
                _route(at + tail, page)
                for at in (model, model + "/versions/{version}")
                for tail, page in (
                    ("", self._metadata),
                    ("/ready", self._model_ready),
                    ("/config", self._config),
                    ("/stats", self._statistics),
                )
            ),
            _route(model + "/infer", self._infer, "POST"),
            _route(model + "/versions/{version}/infer", self._infer, "POST"),
            _route(index, self._index, "POST"),
            _route(ask + "load", self._load, "POST"),
            _route(ask + "unload", self._unload, "POST"),
            _route("/v2", self._server),
            _route("/v2/health/live", self._live),
            _route("/v2/health/ready", self._ready),
            _route("/openapi.json", self._description),
        ]
        routes.insert(0, _route("/v2/models/stats", self._statistics))
        return Starlette(routes=routes, exception_handlers={HTTPException: _elsewhere})

    def close(self) -> None:
        """End the thread of loads and unloads. After the loop has ended."""
        self._repository.shutdown(cancel_futures=True)

    async def _infer(self, request: Request) -> Sent | None:
        async with self._bodies.read(request) as body:
            return await self._inference.answer(
                _asked(request), body, request.headers, request.receive
            )

    async def _server(self, _: Request) -> Sent:
        return _said(self._facts.server())

    async def _live(self, _: Request) -> Sent:
        return 200, b"", {}

    async def _ready(self, _: Request) -> Sent:
        if not self._facts.ready():
            raise NotReady("the server is not ready", 1.0)
        return 200, b"", {}

    async def _model_ready(self, request: Request) -> Sent:
        name, version = _asked(request)
        if not self._facts.model_ready(name, version):
            self._facts.metadata(name, version)  # raises for one that is not there
            raise NotReady(f"model '{shown(name)}' is not ready", 1.0)
        return 200, b"", {}

    async def _metadata(self, request: Request) -> Sent:
        return _said(self._facts.metadata(*_asked(request)))

    async def _config(self, request: Request) -> Sent:
        return _said(self._facts.config(*_asked(request)))

    async def _statistics(self, request: Request) -> Sent:
        return _said(self._facts.statistics(*_asked(request)))

    async def _description(self, _: Request) -> Sent:
        return 200, self._openapi, {"content-type": "application/json"}

    async def _index(self, request: Request) -> Sent:
        asked = await self._body(request)
        ready = asked.get("ready", False)
        if not isinstance(ready, bool):
            raise BadInput("'ready' must be true or false")
        return _said(self._facts.index(ready=ready).get("models", []))

    async def _load(self, request: Request) -> Sent:
        given = json_text.parameters(await self._body(request))
        _check_known(given, "config")
        config = given.get("config", "")
        if not isinstance(config, str) or (config and not config.strip().startswith("{")):
            raise BadInput("parameter 'config' must be a string with a JSON object in it")
        name = request.path_params["model"]
        return await self._change(lambda: self._facts.load(name, config))

    async def _unload(self, request: Request) -> Sent:
        _check_known(json_text.parameters(await self._body(request)), "unload_dependents")
        name = request.path_params["model"]
        return await self._change(lambda: self._facts.unload(name))

    async def _change(self, begin: "Callable[[], Future[None]]") -> Sent:
        if self._pending >= _MOST_PENDING:
            raise Overloaded(f"{_MOST_PENDING} questions wait already; ask again later", 1.0)
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            await asyncio.wrap_future(await loop.run_in_executor(self._repository, begin))
        finally:
            self._pending -= 1
        return 200, b"", {}

    async def _body(self, request: Request) -> json_text.Object:
        async with self._bodies.read(request) as body:
            return json_text.parsed(body) if body.strip() else {}


def _route(path: str, page: Page, method: str = "GET") -> Route:
    async def answer(request: Request) -> Response:
        try:
            sent = await page(request)
        except ClientDisconnect:
            sent = None
        except Exception as error:  # noqa: BLE001 - whoever asked must be answered
            status, body, headers = ending_of(error)
            if isinstance(error, TooLarge | Overloaded):  # what is left of its body is not read
                headers["connection"] = "close"
            sent = status, body, headers
        status, body, headers = sent or (499, b"", {"connection": "close"})
        if status >= 400:
            headers = {"content-type": "application/json", **headers}
        return Response(body, status, headers)

    return Route(path, answer, methods=[method])


def _asked(request: Request) -> tuple[str, str]:
    return request.path_params.get("model", ""), request.path_params.get("version", "")


def _said(report: object) -> Sent:
    return 200, json.dumps(report).encode(), {"content-type": "application/json"}


def _check_known(given: Mapping[str, object], known: str) -> None:
    if unknown := sorted(set(given) - {known}):
        raise Unsupported(
            f"parameter '{shown(unknown[0])}' is not known; models are loaded from the server's repository, "
            "with a 'config' at most"
        )


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {shown(request.url.path)}: {error.detail.lower()}; /openapi.json lists what is here"
    headers = {**(error.headers or {}), "content-type": "application/json"}
    return Response(words(text), error.status_code, headers)
