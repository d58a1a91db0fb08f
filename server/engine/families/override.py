"""What a client that loads a model may set otherwise than its manifest, for as long as that stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.catalog import Family, TensorSpec
from server.errors import BadInput

Signature = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Of inputs or outputs: name, datatype, sizes behind the rows."""


@dataclass(frozen=True, slots=True)
class Override:
    """None, or (): as published. A signature is no more than compared with the family's own."""

    max_batch: int | None = None
    latency_s: float | None = None
    min_accuracy: float | None = None
    inputs: Signature = ()
    outputs: Signature = ()

    def applied(self, family: Family) -> Family:
        """The family with what is set otherwise. Raises BadInput where it cannot be had so."""
        _check_same(self.inputs, family.inputs, family.name, "inputs")
        _check_same(self.outputs, family.outputs, family.name, "outputs")
        best = max((v.accuracy.value for v in family.variants), default=0.0)
        if (least := self.min_accuracy) is not None and least > best:
            raise BadInput(
                f"min_accuracy {least:g} is above {best:g}, the best that model '{family.name}' has"
            )
        max_batch = self.max_batch or family.max_batch
        if family.one_row and max_batch != 1:
            raise BadInput(
                f"model '{family.name}' takes one row a request: max_batch_size must be 1"
            )
        slo = replace(
            family.slo,
            latency_s=self.latency_s or family.slo.latency_s,
            min_accuracy=family.slo.min_accuracy
            if self.min_accuracy is None
            else self.min_accuracy,
        )
        return replace(family, max_batch=max_batch, slo=slo)


AS_PUBLISHED = Override()


def _check_same(stated: Signature, specs: Sequence[TensorSpec], model: str, what: str) -> None:
    own = {(spec.name, spec.datatype, tuple(spec.shape[1:])) for spec in specs}
    if stated and set(stated) != own:
        raise BadInput(
            f"the {what} of model '{model}' are {sorted(own)}, in its manifest; they cannot be overridden"
        )
