"""How large a request may be beyond its signature: as many rows as arms run in time, and as fronts can answer."""

import sys

from models.catalog import Family
from server.engine.checking.demands import Demand
from server.errors import BadInput
from server.runtime.dispatch.offers import Offer, Offers


class RowBounds:
    """One family's. `offers` follows its arms; without it only the signature counts.

    `carried_rows`: the most rows whose outputs, all of them, a front's answer carries.
    """

    def __init__(
        self, family: Family, offers: Offers | None = None, carried_rows: int = sys.maxsize
    ) -> None:
        self.offers = offers
        self._carried_rows = carried_rows
        self._family = family

    def max_batch(self, variant: str | None = None) -> int:
        """Rows that a request may have which asks for no SLO: answered in time, all outputs in one message."""
        offer = self._offer(variant, 0.0 if variant else None)
        return self._answerable(self._rows(offer.usual or min(1, offer.most)) if offer else 0)

    def max_batch_with_time(self, variant: str | None = None) -> int:
        """The same of a request that asks for an SLO as long as it takes."""
        offer = self._offer(variant, 0.0 if variant else None)
        return self._answerable(self._rows(offer.most) if offer else 0)

    def max_waiting(self) -> int:
        """Requests of one row without an SLO of their own that may wait before another is refused; 0: not known."""
        return 0 if self.offers is None else self.offers.waiting()

    def check_rows(self, rows: int, demand: Demand, row_units: int = 1) -> None:
        """Raises BadInput for more rows than can be answered, where that is no matter of a slow moment.

        `row_units`: units of work in each row, where sizes are free.
        """
        if rows == row_units == 1 or self.offers is None:
            return
        offer = self._offer(demand.variant, demand.slo.min_accuracy)
        if offer is None or not offer.most:
            return  # nothing runs it now: admission says why
        own = demand.slo.latency_s != self.offers.slo.latency_s
        most = offer.most if own or rows == 1 or not offer.hoped else offer.hoped
        if rows * row_units <= most:
            return  # whether one row is in time is admission's to say
        if rows == 1 or row_units > most:
            raise self._too_large(own=own or rows == 1)
        size = " of these sizes" if row_units > self._family.row_units else ""
        if most == offer.most:
            raise self.too_many(rows, most // row_units, size)
        more = size + _more(offer, self.offers, row_units)
        raise self.too_many(rows, max(1, offer.usual // row_units), more)

    def _too_large(self, *, own: bool) -> BadInput:
        """What to say of a single row whose sizes make it too much work."""
        sizes = ", ".join(f"{s.name} (up to {s.most})" for s in self._family.sizes)
        way = "no variant runs it here" if own else "send smaller ones, or a longer slo_ms"
        return BadInput(
            f"a row of these sizes takes longer than model '{self._family.name}' has time for: {sizes}; {way}"
        )

    def too_many(self, rows: int, most: int | None = None, more: str = "") -> BadInput:
        """What to say of so many rows, in Triton's words."""
        name = self._family.name
        most = most or self.max_batch()
        if self.offers is not None and most == self._rows(self.offers.capacity_rows):
            more += f"; no more rows may wait here (queue_capacity is {most}): split it"
        return BadInput(
            f"inference request batch-size must be <= {most} for '{name}', got {rows}{more}"
        )

    def _rows(self, units: int) -> int:
        """Typical rows of so much work, as far as one can be asked for at all."""
        return max(min(1, units), units // self._family.row_units)

    def _answerable(self, rows: int) -> int:
        """So many rows, or those of the signature where nothing runs (0), as far as their outputs fit a message."""
        most = self._family.max_batch
        if self.offers is not None:
            most = min(most, self._rows(self.offers.capacity_rows))
        if self._family.one_row:
            return 1
        return max(1, min(rows or most, self._carried_rows))

    def _offer(self, variant: str | None, least: float | None) -> Offer | None:
        offers = self.offers
        if offers is None:
            return None
        plain = variant is None and least in (None, offers.slo.min_accuracy)
        return offers.plain() if plain else offers.of(variant, least or 0.0)


def _more(offer: Offer, offers: Offers, row_units: int) -> str:
    if offer.most <= offer.usual:
        return ""
    return f"; up to {offer.most // row_units} with a longer slo_ms than the model's {offers.slo.latency_s * 1e3:g}"
