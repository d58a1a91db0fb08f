"""How large an answer gets, known before it is computed: rows by the size of what a row's outputs take."""

from collections.abc import Sequence

from models.catalog import Family, TensorSpec
from models.datatypes import DATATYPES
from server.errors import BadInput

MOST_BYTES = (1 << 31) - 1
"""Of one message, whatever is configured: what gRPC can carry."""
_ENVELOPE = 8192
"""Bytes of an answer besides its contents, its id and the names in the signature; generous."""
_PER_OUTPUT = 128
"""The same of one output: its shape, and the lengths of its parts."""
_SHORT_ID = 1024
"""Characters of an id that the envelope has room for."""


class AnswerSize:
    """One family's answers, which must fit into messages of `most_bytes`."""

    def __init__(self, family: Family, most_bytes: int = MOST_BYTES) -> None:
        self._family = family
        self._most_bytes = most_bytes
        self._room = most_bytes - _ENVELOPE - len(family.name.encode())
        self._specs = {spec.name: spec for spec in family.largest.outputs}
        self._safe_rows = min(self.most_rows(raw=True), self.most_rows(raw=False))

    def most_rows(self, *, raw: bool) -> int:
        """The most rows of one request for all outputs whose answer fits."""
        per_row, fixed = self._sizes(tuple(self._specs), raw=raw)
        return max(0, (self._room - fixed) // per_row)

    def check(self, rows: int, outputs: Sequence[str], request_id: str, *, raw: bool) -> None:
        """Raises BadInput where the answer to such a request could not be sent."""
        if rows <= self._safe_rows and len(request_id) <= _SHORT_ID:
            return
        per_row, fixed = self._sizes(outputs, raw=raw)
        room = self._room - fixed - len(request_id.encode())
        if rows * per_row <= room:
            return
        advice = [f"ask for {room // per_row} rows at most"] if room >= per_row else []
        advice += [] if len(self._specs) == 1 else ["ask for fewer outputs"]
        advice += [] if raw else ["send raw contents"]
        raise BadInput(
            f"the answer for {rows} rows of model '{self._family.name}' may take {rows * per_row} bytes "
            f"({per_row} a row{'' if raw else ', in typed contents'}); "
            f"{', '.join([*advice, 'or have '])}max_message_mib raised, which is {self._mib} on this server"
        )

    def shortfall(self) -> str:
        """What an operator should know of this family's answers; empty where all of them fit."""
        rows = self.most_rows(raw=True)
        if rows >= self._family.max_batch:
            return ""
        per_row, _ = self._sizes(tuple(self._specs), raw=True)
        most = f"{rows} rows of max_batch's {self._family.max_batch}" if rows else "not one row"
        return (
            f"{self._family.name}: a row's outputs take {per_row} bytes, so requests for all of them may have {most}; "
            f"raise max_message_mib ({self._mib}) for more"
        )

    @property
    def _mib(self) -> str:
        return f"{self._most_bytes / 2**20:g}"

    def _sizes(self, outputs: Sequence[str], *, raw: bool) -> tuple[int, int]:
        """(bytes a row at most, bytes besides) of an answer with these outputs."""
        specs = [self._specs[name] for name in outputs]
        raw = raw or any(not DATATYPES[spec.datatype].field for spec in specs)
        fixed = sum(_PER_OUTPUT + len(spec.name.encode()) + 11 * len(spec.shape) for spec in specs)
        return max(1, sum(_row_bytes(spec, raw=raw) for spec in specs)), fixed


def _row_bytes(spec: TensorSpec, *, raw: bool) -> int:
    each = spec.dtype.itemsize if raw else DATATYPES[spec.datatype].typed_bytes
    return spec.row_elements * each
