"""What BigQuery's planner refuses after its analyzer has agreed: joins it cannot run by hashing.

The rules read the tree that ZetaSQL's analyzer gives. They stand for two of BigQuery's errors,
"LEFT OUTER JOIN cannot be used without a condition that is an equality of fields from both sides of
the join" and "Correlated subqueries that reference other tables are not supported unless they can
be de-correlated".
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import message
from zetasql.wasi._pb2.zetasql.resolved_ast import (
    resolved_ast_enums_pb2,
    resolved_ast_pb2,
    serialization_pb2,
)

from .zetasql_wire import Message

OUTER_JOINS = {
    resolved_ast_enums_pb2.ResolvedJoinScanEnums.LEFT,
    resolved_ast_enums_pb2.ResolvedJoinScanEnums.RIGHT,
    resolved_ast_enums_pb2.ResolvedJoinScanEnums.FULL,
}
READS_A_TABLE = (resolved_ast_pb2.ResolvedTableScanProto, resolved_ast_pb2.ResolvedWithRefScanProto)
KEEPS_ITS_ROWS_APART = (
    resolved_ast_pb2.ResolvedLimitOffsetScanProto,
    resolved_ast_pb2.ResolvedAnalyticScanProto,
)
EQUALITIES = {"ZetaSQL:$equal", "ZetaSQL:$is_not_distinct_from"}


def refusals(query: Message) -> Iterator[tuple[str, int | None]]:
    """Each reason to refuse the query, with its byte in the SQL where that is known."""
    for node in _descend(query):
        if isinstance(node, resolved_ast_pb2.ResolvedJoinScanProto):
            if node.join_type in OUTER_JOINS and not _joins_on_equality(node):
                reason = (
                    "An outer join needs an equality of columns of both sides in its condition."
                )
                yield reason, _start(node)
        elif isinstance(node, resolved_ast_pb2.ResolvedSubqueryExprProto):
            if node.parameter_list and not _can_become_a_join(node):
                reason = (
                    "A subquery that reads a table for each row outside needs an equality with a "
                    "column of that row, and neither LIMIT nor a window function: write a join."
                )
                yield reason, _start(node)


def _joins_on_equality(join: Message) -> bool:
    left, right = _columns(join.left_scan), _columns(join.right_scan)
    return any(_compares(equality, left, right) for equality in _equalities(join.join_expr))


def _can_become_a_join(subquery: Message) -> bool:
    nodes = list(_descend(subquery.subquery))
    if not any(isinstance(node, READS_A_TABLE) for node in nodes):
        return True
    if any(isinstance(node, KEEPS_ITS_ROWS_APART) for node in nodes):
        return False
    # IN compares its own expression with the subquery's column.
    if subquery.subquery_type == resolved_ast_enums_pb2.ResolvedSubqueryExprEnums.IN:
        return True
    outside = {reference.column.column_id for reference in subquery.parameter_list}
    inside = _columns(subquery.subquery) - outside
    filters = [n for n in nodes if isinstance(n, resolved_ast_pb2.ResolvedFilterScanProto)]
    equalities = [equality for scan in filters for equality in _equalities(scan.filter_expr)]
    return any(_compares(equality, outside, inside) for equality in equalities)


def _equalities(condition: Message) -> Iterator[Message]:
    """The equalities that must hold for the condition to hold: none under OR or NOT."""
    node = _unwrap(condition)
    if not isinstance(node, resolved_ast_pb2.ResolvedFunctionCallProto):
        return
    if node.parent.function.name == "ZetaSQL:$and":
        for argument in node.parent.argument_list:
            yield from _equalities(argument)
    elif node.parent.function.name in EQUALITIES:
        yield node.parent


def _compares(equality: Message, left: set[int], right: set[int]) -> bool:
    first, second = (_columns(argument) for argument in equality.argument_list)
    if not first or not second:
        return False
    return (first <= left and second <= right) or (first <= right and second <= left)


def _columns(node: message.Message) -> set[int]:
    return {
        child.column_id
        for child in _descend(node)
        if isinstance(child, serialization_pb2.ResolvedColumnProto)
    }


def _unwrap(node: Message) -> Message:
    """The node that a union of node kinds holds."""
    while node.DESCRIPTOR.oneofs:
        kind = node.WhichOneof("node")
        if kind is None:
            break
        node = getattr(node, kind)
    return node


def _start(node: Message) -> int | None:
    """The first byte of a node, kept in the innermost of its bases."""
    while not hasattr(node, "parse_location_range"):
        node = node.parent
    return int(node.parse_location_range.start) if node.HasField("parse_location_range") else None


def _descend(node: message.Message) -> Iterator[Message]:
    yield node
    for field, value in node.ListFields():
        if field.message_type is not None:
            for child in [value] if isinstance(value, message.Message) else value:
                yield from _descend(child)
