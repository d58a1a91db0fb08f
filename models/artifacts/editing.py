"""Changing a TOML text and leaving all else in it as it is: comments, order, spelling, what nobody asked about.

What changes follows from two contents, before and after; where they are alike the text is not touched.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from models.artifacts.statements import Block, Key, blocks_of
from models.artifacts.tables import table_text, value_text
from models.artifacts.values import identities

Content = Mapping[str, Any]

BYTE_ORDER_MARK = "\ufeff"
"""What some editors begin a file with."""


def edited(text: str, before: Content, after: Content) -> str:
    """`text`, which says `before` in its own way, made to say `after`. Raises ValueError where it is too odd."""
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    document = _Document(text.removeprefix(BYTE_ORDER_MARK))
    document.change(document.whole, (), before, after)
    made = document.text()
    if "\r\n" in text:
        made = made.replace("\r\n", "\n").replace("\n", "\r\n")
    return mark + made


class _Scope:
    """Where one table is written: its own block and those of the tables in it; without a head, the whole document."""

    def __init__(self, blocks: list[Block], head: Block | None = None) -> None:
        self._all = blocks
        self.head = head

    def blocks(self) -> list[Block]:
        """Its blocks as they are now."""
        if self.head is None:
            return list(self._all)
        key = self.head.key
        found = [self.head]
        for block in self._all[self._all.index(self.head) + 1 :]:
            if block.key == key:
                break
            if block.key[: len(key)] == key:
                found.append(block)
        return found

    def tables(self, key: Key) -> list["_Scope"]:
        """The tables of the array `key` in it, each with a header of its own."""
        heads = [b for b in self.blocks() if b.key == key and b.is_array]
        return [_Scope(self._all, head) for head in heads]


class _Document:
    def __init__(self, text: str) -> None:
        self._blocks = blocks_of(text)
        self.whole = _Scope(self._blocks)

    def text(self) -> str:
        return "".join(line.text for block in self._blocks for line in block.lines)

    def change(self, scope: _Scope, key: Key, before: Content, after: Content) -> None:
        """Apply what differs to the table `key`, which is written in `scope`."""
        for word in dict.fromkeys([*before, *after]):
            old, new = before.get(word), after.get(word)
            at = (*key, word)
            if old == new:
                continue
            if _is_array(old) or _is_array(new):
                self._change_array(scope, at, old or [], new or [])
            elif isinstance(old, dict) and isinstance(new, dict):
                self.change(scope, at, cast("Content", old), cast("Content", new))
            else:
                self._set(scope, at, new)

    def _set(self, scope: _Scope, key: Key, value: object) -> None:
        """One value in `scope`; None: it goes."""
        for block in scope.blocks():
            for statement in block.statements():
                words, held = statement.assigned()
                here = (*block.key, *words)
                if key[: len(here)] == here:
                    changed = _with(held, key[len(here) :], value)
                    if changed is None:
                        block.remove(statement)
                    else:
                        block.assign(statement, changed)
                    return
        if value is not None:
            self._insert(scope, key, value)

    def _insert(self, scope: _Scope, key: Key, value: object) -> None:
        home, depth = _home(scope.blocks(), key)
        if home is None:
            self._add(scope, blocks_of(_table(key[:-1], {key[-1]: value}, "[{}]"))[1:])
        else:
            home.insert(f"{'.'.join(map(_word, key[depth:]))} = {value_text(value)}\n")

    def _add(self, scope: _Scope, new: list[Block]) -> None:
        """After the last block of the scope."""
        self._after(scope.blocks()[-1], new)

    def _after(self, block: Block, new: list[Block]) -> None:
        at = self._blocks.index(block) + 1
        self._blocks[at:at] = new
        for one in [block, *(new if at + len(new) < len(self._blocks) else new[:-1])]:
            one.close()

    def _change_array(
        self, scope: _Scope, key: Key, old: Sequence[Content], new: Sequence[Content]
    ) -> None:
        tables = scope.tables(key)
        if len(tables) != len(old) or (not tables and _is_assigned(scope, key)):  # as one value
            self._set(scope, key, list(new) or None)
            return
        ids = identities([*old, *new])
        held = dict(zip(ids[: len(old)], tables, strict=True))
        wanted = dict(zip(ids[len(old) :], new, strict=True))
        for name, content in zip(ids[: len(old)], old, strict=True):
            if name in wanted:
                self.change(held[name], key, content, wanted[name])
        made = {
            n: blocks_of(_table(key, c, "[[{}]]"))[1:] for n, c in wanted.items() if n not in held
        }
        self._arrange(scope, held, made, list(wanted))

    def _arrange(
        self,
        scope: _Scope,
        held: Mapping[object, _Scope],
        made: Mapping[object, list[Block]],
        order: list[object],
    ) -> None:
        """The tables of an array in this order; those that stay keep their places where the order allows it."""
        kept = {name: table.blocks() for name, table in held.items() if name in order}
        last = [*kept.values()][-1][-1] if kept else None
        at = self._blocks.index(next(iter(held.values())).blocks()[0]) if held else 0
        for name in [n for n in held if n not in order]:
            self._remove(held[name].blocks())
        if last is None and not held:
            for blocks in made.values():
                self._add(scope, blocks)
        elif [*kept, *made] == order and last is not None:
            for blocks in made.values():
                self._after(last, blocks)
                last = blocks[-1]
        else:
            self._reorder(at, [(kept | dict(made))[name] for name in order])

    def _reorder(self, at: int, groups: list[list[Block]]) -> None:
        blocks = [b for group in groups for b in group]
        rest = [b for b in self._blocks if b not in blocks]
        before = [b for b in self._blocks[:at] if b not in blocks]
        after = rest[len(before) :]
        for block in [*before[-1:], *(blocks if after else blocks[:-1])]:
            block.close()
        self._blocks[:] = [*before, *blocks, *after]

    def _remove(self, blocks: list[Block]) -> None:
        """They go; comments at their end, which may be about what follows, stay."""
        at = self._blocks.index(blocks[0])
        self._blocks[at - 1].lines += blocks[-1].remarks_after()
        for block in blocks:
            self._blocks.remove(block)


def _is_assigned(scope: _Scope, key: Key) -> bool:
    said = ((b.key, s.assigned()[0]) for b in scope.blocks() for s in b.statements())
    return any((*header, *words) == key for header, words in said)


def _home(blocks: Sequence[Block], key: Key) -> tuple[Block | None, int]:
    """The block that a new value belongs to, and how much of its key that block's header says."""
    for block in blocks:
        if block.key == key[:-1]:
            return block, len(block.key)
    for block in blocks:
        for statement in block.statements():
            if (*block.key, *statement.assigned()[0])[:-1] == key[:-1]:
                return block, len(block.key)
    return None, 0


def _with(held: object, key: Key, value: object) -> object:
    """`held` with the value under `key` in it another, or gone."""
    if not key:
        return value
    inner = dict(cast("Content", held)) if isinstance(held, dict) else {}
    changed = _with(inner.get(key[0]), key[1:], value)
    inner[key[0]] = changed
    return {word: one for word, one in inner.items() if one is not None}


def _is_array(value: object) -> bool:
    """Whether it is an array of tables."""
    rows = cast("list[object]", value) if isinstance(value, list) else []
    return bool(rows) and all(isinstance(row, dict) for row in rows)


def _table(key: Key, content: Content, header: str) -> str:
    """A table as text, those in it after it."""
    inner = {k: v for k, v in content.items() if isinstance(v, dict) or _is_array(v)}
    own = {_word(k): v for k, v in content.items() if k not in inner}
    parts = [table_text(header.format(".".join(map(_word, key))), own)]
    for word, value in inner.items():
        if isinstance(value, dict):
            parts.append(_table((*key, word), cast("Content", value), "[{}]"))
        else:
            parts += [_table((*key, word), row, "[[{}]]") for row in value]
    return "\n".join(parts)


def _word(text: str) -> str:
    return (
        text
        if text.replace("-", "").replace("_", "").isalnum() and text.isascii()
        else value_text(text)
    )
