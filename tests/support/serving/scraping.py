"""What operators read of a server over HTTP."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving.server import Server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def fetch(server: Server, path: str, accept: str = "") -> tuple[int, str, str]:
    """(status, content type, body) of one GET."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}{path}", headers={"Accept": accept}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(server: Server) -> Samples:
    """(sample name, labels) -> value."""
    _, _, body = fetch(server, "/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the series called `name` that have these labels."""
    return sum(v for (n, have), v in samples.items() if n == name and labels.items() <= have)


def rises(before: Samples, after: Samples, name: str, **labels: str) -> float:
    """How much that sum has grown."""
    return total(after, name, **labels) - total(before, name, **labels)
