"""What each selector of a comparison is charged, measured once and kept beside the results."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.run.settings import Settings

PRICES = "prices.json"
"""Beside the results: every run of a comparison, resumed ones too, is charged at the same prices."""


def parted(selector: str, way: str) -> tuple[str, str]:
    """Spec and way of `selective_backprop:beta=2@bf16`; without @ the way is `way`."""
    spec, _, own = selector.partition("@")
    return spec, own or way


def listed(
    path: Path, selectors: Sequence[str], settings: Settings, measured: Callable[[Settings], Prices]
) -> dict[str, Prices]:
    """By selector, as `path` has them, else measured and written there. Raises TrainError.

    The unit is that of the first measurement; steps and selection forwards are measured once for each way of looking,
    bookkeeping for each selector. Prices of runs with another network, data set or recipe are not taken.
    """
    found = _read(path, _shared(settings))
    for selector in selectors:
        if selector in found:
            continue
        spec, way = parted(selector, settings.selection.way)
        own = measured(
            replace(settings, selection=replace(settings.selection, selector=spec, way=way))
        )
        alike = [p for s, p in found.items() if parted(s, settings.selection.way)[1] == way]
        found[selector] = in_units(own, next(iter(found.values()), own), alike)
    _write(path, _shared(settings), found)
    return {selector: found[selector] for selector in selectors}


def in_units(own: Prices, first: Prices, alike: Sequence[Prices]) -> Prices:
    """`own` in units of the first measurement; what looking costs is as in one that looks alike, if any does.

    A step is the same work for all but for what a narrow copy adds, and measured twice it differs by chance: the
    dearer of the two is charged.
    """
    scale = own.unit_s / first.unit_s
    if alike:
        return replace(alike[0], bookkeeping=own.bookkeeping * scale)
    step = max(first.step, own.step * scale)
    return Prices(step, own.selection * scale, own.bookkeeping * scale, first.unit_s)


def in_words(prices: Mapping[str, Prices]) -> str:
    """Prices in words, in units."""
    forwards = sorted({(p.selection, p.f) for p in prices.values()})
    steps = [p.step for p in prices.values()]
    bookkeeping = [p.bookkeeping for p in prices.values()]
    return (
        f"a training step {_span(steps, 2)} units an example, a selection forward "
        f"{' or '.join(f'{price:.2f} (f = {f:.2f})' for price, f in forwards)}, bookkeeping "
        f"{_span(bookkeeping, 3)} a look; a unit took {1e6 * next(iter(prices.values())).unit_s:.1f} µs"
    )


def _span(values: Sequence[float], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _shared(settings: Settings) -> dict[str, Any]:
    """What all runs of a comparison have in common and prices hang on."""
    selection = {"refresh_steps": settings.selection.refresh_steps}
    return {
        "data": settings.data,
        "network": settings.network,
        "recipe": asdict(settings.recipe),
        **selection,
    }


def _read(path: Path, shared: Mapping[str, Any]) -> dict[str, Prices]:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
        of, prices = known["of"], known["prices"]
        found = {selector: Prices(**each) for selector, each in prices.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise TrainError(
            f"{path} cannot be read: {error}; delete the folder to compare anew"
        ) from error
    if wrong := [
        f"{key} was {of.get(key)!r}, is {value!r}"
        for key, value in shared.items()
        if of.get(key) != value
    ]:
        raise TrainError(
            f"{path.parent} has a comparison of other runs ({'; '.join(wrong)}); name another --out"
        )
    return found


def _write(path: Path, shared: Mapping[str, Any], prices: Mapping[str, Prices]) -> None:
    content = {
        "of": shared,
        "prices": {selector: asdict(each) for selector, each in prices.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainError(
            f"{path} cannot be written: {error}; name another folder with --out"
        ) from error
