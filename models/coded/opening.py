"""What decodes a family's coded inputs, by their kind."""

from pathlib import Path

from models.catalog import CodedInput, Family
from models.coded import Decoder
from models.coded.pictures import Pictures
from models.coded.tokens import Tokens


def open_decoder(folder: Path, family: Family, coded: CodedInput) -> Decoder:
    """What decodes this input of the family in `folder`. Raises ValueError where it cannot be had."""
    if coded.kind == "tokens":
        return Tokens(folder / coded.file, family)
    return Pictures(family, coded)
