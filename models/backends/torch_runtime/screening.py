"""What a program of torch.export may say: torch evaluates some of its texts as Python, and calls whatever they name.

The texts are read here before torch reads them, and nothing of them is evaluated. Sizes and guards may reckon,
operators may be those of tensors, names may hold nothing that could be a call.
"""

import ast
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from models.backends.base import BackendError, operators

_MEMBERS = re.compile(
    r"archive_(format|version)|byteorder|\.data/\w+|models/\w+\.json|data/sample_inputs/\w+\.pt|extra/.*"
    r"|data/(weights|constants)/((weight|tensor)_\d+|\w+\.json)"
)
"""What a program of operators and tensors consists of; pickled objects and compiled libraries have other names."""

_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)"
    r"\.(?!from_file\b|save\b)(__i?(and|or|xor|lshift|rshift)__|(?!__)\w+)\.(?!_)\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl|wrap_with_(set_grad_enabled|autocast))"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift|getitem)"
    r"|math\.trunc|torch\._?sym_\w+"
)
"""Operators of tensors, but for those that touch files, branches and loops over them, and arithmetic of sizes."""

_PLAIN = re.compile(r"[\w.:/+ -]*")
"""Names and the like: torch writes some into the source of a module."""
_CONTEXT = re.compile(r'[\w.:/+ \-\[\]",]*')
"""Lists of names, in JSON."""
_STRUCTURES = {
    None,
    "builtins.tuple",
    "builtins.list",
    "builtins.dict",
    "collections.OrderedDict",
    "collections.namedtuple",
    "torch.fx.immutable_collections.immutable_list",
    "torch.fx.immutable_collections.immutable_dict",
}
_GUARD = re.compile(r"[\w\s\[\]().,'+\-*/%<>=!&|~]*")
_FUNCTIONS = operators(
    "Abs Add And CeilDiv CeilToInt CleanDiv Eq Equality FloatPow FloatTrueDiv FloorDiv FloorToInt Float Ge "
    "GreaterThan Gt Identity IntTrueDiv Integer IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt Max Min Mod "
    "ModularIndexing Mul Ne Not Or Piecewise Pow PowByNatural PythonMod RShift Rational RoundDecimal RoundToInt "
    "StrictGreaterThan StrictLessThan Symbol ToFloat TruncToFloat TruncToInt Unequality Where ceiling floor sqrt "
    "cast_symbool_to_symint_guardless abs int float bool max min round"
)
"""What sizes and guards may call."""
_NAMES = re.compile(r"[a-z]+_?\d+|L|math|inf|oo|int_oo")
_METHODS = operators(
    "size stride storage_offset dim numel ndim shape dtype math ceil floor trunc sqrt"
)
_ARITHMETIC = (
    ast.Expression,
    ast.BoolOp,
    ast.UnaryOp,
    ast.BinOp,
    ast.Compare,
    ast.Subscript,
    ast.expr_context,
    ast.boolop,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
)


def check_members(names: Sequence[str]) -> None:
    """`names`: of an archive's files. Raises BackendError where there is more than operators and tensors."""
    if odd := [name for name in names if not _MEMBERS.fullmatch(name)]:
        raise BackendError(
            f"it holds {odd[0]!r}, which is neither operators nor tensors; save it anew with torch.export.save"
        )
    if len({name.casefold() for name in names}) < len(names):
        raise BackendError("it holds two files of one name; save it anew with torch.export.save")


def check_texts(content: bytes) -> None:
    """`content`: of one of its JSON files. Raises BackendError where a text is one that a program does not need.

    Damaged JSON raises ValueError.
    """
    _check(json.loads(content), "")


def _check(value: Any, key: str) -> None:
    """Every text below `value`, by the key that it stands under. Raises BackendError."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name != "metadata":  # where it was written; shown, never evaluated
                _check(one, name)
    elif isinstance(value, list):
        for one in value:
            _check(one, key)
    elif isinstance(value, str) and not _RULES.get(key, _is_plain)(value):
        raise BackendError(
            f"its {key or 'text'} {value[:80]!r} is none that a program of tensors needs, and torch would run it as "
            "code; it is not opened"
        )


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _is_target(text: str) -> bool:
    return _TARGET.fullmatch(text) is not None


def _is_structure(text: str) -> bool:
    """Whether it is a tree of tuples, lists and dicts, as torch writes them."""
    waiting: list[Any] = [json.loads(text)[1]]
    while waiting:
        one = waiting.pop()
        context = one.get("context") or ""
        known = one.get("type") in _STRUCTURES and isinstance(context, str)
        if not known or not _CONTEXT.fullmatch(context):
            return False
        waiting += one.get("children_spec", [])
    return True


def _is_reckoning(text: str) -> bool:
    """Whether it is arithmetic of sizes: calls of known functions, no text that is more than a name."""
    if not _GUARD.fullmatch(text):
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, RecursionError, MemoryError):
        return False
    return all(map(_reckons, nodes))


def _reckons(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value) | ast.keyword(value=ast.Constant(value=value)):
            known = value is None or isinstance(value, int | float)
            return known or (isinstance(value, str) and _PLAIN.fullmatch(value) is not None)
        case ast.Call(func=ast.Name(id=name)):
            return name in _FUNCTIONS
        case ast.Attribute(attr=name):
            return name in _METHODS
        case ast.Name(id=name):
            return name in _FUNCTIONS or _NAMES.fullmatch(name) is not None
        case _:
            return isinstance(node, _ARITHMETIC) or _is_method_call(node)


def _is_method_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


_RULES: dict[str, Callable[[str], bool]] = {
    "target": _is_target,
    "as_operator": _is_target,
    "expr_str": _is_reckoning,
    "guards_code": _is_reckoning,
    "in_spec": _is_structure,
    "out_spec": _is_structure,
    "as_string": lambda _: True,
    "as_strings": lambda _: True,
}
"""Key -> what may stand there; texts that operators are given are never evaluated."""
