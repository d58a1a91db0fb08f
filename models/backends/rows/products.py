"""What products of matrices do to the rows of a batch: a part of `rules`. Pure."""

from collections.abc import Mapping

from models.backends.rows.state import Rows, Rule, Step, Unproven


def matmul(step: Step) -> Rows:
    """The product of the first two inputs. Raises Unproven."""
    left, right = step.content.get(0), step.content.get(1)
    if step.given.get("transA") or step.given.get("transBatchA") or step.given.get("transBatchB"):
        raise Unproven
    if len(step.content) > 2 or (step.given.get("transB") and left is None):
        raise Unproven
    if left is not None and right is not None:
        return _product_of_rows(left, right)
    if left is not None:
        return product_with(step, left, 1, left.rank - 1)
    assert right is not None
    return product_with(step, right, 0, max(0, right.rank - 2))


def _whole_matmul(step: Step) -> Rows:
    """Zero points of a matrix may be as many as it has rows, or columns."""
    step.check_single(2)
    step.check_few(3)
    return matmul(step)


def product_with(step: Step, rows: Rows, other: int, contracted: int) -> Rows:
    """Of one side that holds rows, which loses the axis `contracted`, and an input that holds none. Raises Unproven."""
    if rows.axis == contracted:
        raise Unproven(mixes=True)
    dims = step.plain_dims(other)
    if rows.rank < 2 or not dims:
        raise Unproven
    rank = max(rows.rank, len(dims))
    if len(dims) == 1:
        return rows.moved(rows.axis - (rows.axis > contracted), rows.rank - 1)
    axis = rows.axis + rank - rows.rank
    if axis < rank - 2:
        step.check_plain([step.input(other)], rows.moved(axis, rank))
    return rows.moved(axis, rank)


def _product_of_rows(left: Rows, right: Rows) -> Rows:
    rank = max(left.rank, right.rank)
    places = {one.moved(one.axis + rank - one.rank, rank) for one in (left, right)}
    rows = next(iter(places))
    if len(places) != 1 or min(left.rank, right.rank) < 3 or rows.axis >= rank - 2:
        raise Unproven(mixes=True)
    return rows


def gemm(step: Step) -> Rows:
    """A product, and a third input added to it. Raises Unproven."""
    rows = step.content.get(0)
    if rows is None or not step.state.is_plain(step.input(1)):
        raise Unproven
    if rows.axis != (1 if step.given.get("transA") else 0):
        raise Unproven(mixes=True)
    found = rows.moved(0, 2)
    added = step.content.get(2)
    if added is not None and added != found:
        raise Unproven
    if added is None:
        step.check_plain([step.input(2)], found)
    return found


def _einsum(step: Step) -> Rows:
    equation = step.given["equation"].decode().replace(" ", "")
    terms, arrow, result = equation.partition("->")
    if not arrow or "." in equation:
        raise Unproven
    letters = terms.split(",")
    found = {(letters[i][rows.axis], rows.moved(0, 1)) for i, rows in step.content.items()}
    plain = [term for i, term in enumerate(letters) if i not in step.content]
    letter, rows = next(iter(found))
    if len(found) != 1 or letter not in result or any(letter in term for term in plain):
        raise Unproven(mixes=True)
    if any(letters[i].count(letter) != 1 for i in step.content):
        raise Unproven(mixes=True)
    return rows.moved(result.index(letter), len(result))


def _quantised_matmul(step: Step) -> Rows:
    """Scales and zero points of a matrix may be as many as it has rows, or columns."""
    rows = step.first
    step.check_single(1, 2, 6, 7)
    step.check_few(4)
    step.check_few(5)
    return product_with(step, rows, 3, rows.rank - 1)


PRODUCTS: Mapping[str, Rule] = {
    "Einsum": _einsum,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": _whole_matmul,
    "QLinearMatMul": _quantised_matmul,
}
