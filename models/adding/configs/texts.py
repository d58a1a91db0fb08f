"""A tokeniser that lies beside a transformer's graph: the family then takes texts as well."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from models.artifacts.digests import sha256_of
from models.artifacts.shapes import MOST_BYTES
from models.catalog import CodedInput, Family
from models.coded.tokens import LEFT_OUT, MADE, Tokens

TOKENIZER = "tokenizer.json"
INPUT = "text"
"""What clients call a text."""


def with_texts(family: Family, graph: Path) -> tuple[Family, Mapping[str, Path], str]:
    """The family as it takes texts too, the files that this needs beside its manifest, and what is to be said of it.

    As it is, with none, where it is no transformer's or no tokeniser lies beside `graph` or a folder above.
    """
    names = {spec.name for spec in family.inputs}
    if "input_ids" not in names or not names <= MADE.keys():
        return family, {}, ""
    inputs = tuple(replace(s, default=LEFT_OUT.get(s.name)) for s in family.inputs)
    family = replace(family, inputs=inputs)
    beside = (folder / TOKENIZER for folder in (graph.parent, graph.parent.parent))
    file = next((path for path in beside if path.is_file()), None)
    if file is None:
        return family, {}, ""
    try:
        Tokens(file, family)
    except ValueError as error:
        return family, {}, f"texts are not taken: {error}"
    coded = CodedInput(INPUT, "tokens", MOST_BYTES["tokens"], TOKENIZER, sha256_of(file))
    remark = f"texts are taken too, as input {INPUT!r} (BYTES) in place of all others, by {file}"
    return replace(family, coded=(coded,)), {TOKENIZER: file}, remark
