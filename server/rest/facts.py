"""What REST tells of the server and its models comes from whoever implements this: as other fronts tell it."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

Report = Mapping[str, Any]


class Facts(Protocol):
    """Each raises RequestError."""

    def server(self) -> Report:
        """Name, version, extensions."""
        ...

    def ready(self) -> bool:
        """Whether the server takes requests."""
        ...

    def model_ready(self, name: str, version: str) -> bool:
        """Whether this model does."""
        ...

    def metadata(self, name: str, version: str) -> Report:
        """A model's signature."""
        ...

    def config(self, name: str, version: str) -> Report:
        """A model's configuration."""
        ...

    def statistics(self, name: str, version: str) -> Report:
        """What became of its requests; of all models where the name is empty."""
        ...

    def index(self, *, ready: bool) -> Report:
        """The repository's models; only those that are ready, if so asked."""
        ...

    def load(self, name: str, config: str) -> "Future[None]":
        """Load a model, with a configuration in JSON or as it is."""
        ...

    def unload(self, name: str) -> "Future[None]":
        """Serve a model no more."""
        ...
