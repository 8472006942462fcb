"""The two searches of a table: by meaning and by words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lancedb.query import BooleanQuery, FullTextOperator, MatchQuery, Occur
from numpy.typing import NDArray

# A vector index compares compressed vectors: of those it finds, this many times as many as asked
# for are compared by their vectors as they are. LanceDB leaves it out where there is no index.
_REFINE = 2
# Partitions of a vector index that are looked through among so many rows.
_PROBES = 20
_ROWS = 100_000
# So few rows are compared one by one: that is faster than to look for them in the index, and exact.
_FEW = 2_000
EVERY = 0


def nearest(
    table: Any,  # noqa: ANN401 - LanceDB's tables are untyped
    vector: Sequence[float] | NDArray[np.float32],
    limit: int,
    columns: Sequence[str],
    probes: int | None,
) -> Any:  # noqa: ANN401
    """A query for the rows whose vectors are nearest to one by their cosine.

    Args:
        table: the version to read.
        vector: what they are to be near to.
        limit: rows at most.
        columns: of a row.
        probes: how many partitions of a vector index to look through; `EVERY`, or None for none of
            them and all rows one by one.
    """
    query = table.search(vector, vector_column_name="vector").distance_type("cosine")
    query = query.refine_factor(_REFINE).select([*columns, "_distance"]).limit(limit)
    if probes is None:
        return query.bypass_vector_index()
    # As many as the maximum are looked through, whatever was found in the first of them; left out,
    # it is LanceDB's 20.
    return query.minimum_nprobes(probes or 1).maximum_nprobes(probes)


def probes_among(rows: int, fitting: int) -> int | None:
    """How many partitions to look through where `fitting` of the rows fit a filter.

    The more rows there are, and the fewer of them fit, the further the nearest are scattered. The
    power was chosen at 100,000 and at 1,000,000 rows, with all of them and with a hundredth
    (docs/benchmarks.md).
    """
    if fitting <= _FEW:
        return None
    scatter: float = (rows / _ROWS * rows / fitting) ** 0.25
    return max(round(_PROBES * scatter), 1)


def with_words(
    table: Any,  # noqa: ANN401
    text: str,
    also: Sequence[str],
    weight: float,
    limit: int,
    columns: Sequence[str],
) -> Any:  # noqa: ANN401
    """A query for the rows that have words of a text, by BM25.

    The text is words and nothing else: quotation marks and operators in it have no meaning.

    Args:
        table: the version to read.
        text: of its words, each counts.
        also: more names, each of which counts where a row has all of its words.
        weight: what such a name counts, of what a word of the text does.
        limit: rows at most.
        columns: of a row.
    """
    words = _match(text)
    if also:
        names = [_match(name, boost=weight, operator=FullTextOperator.AND) for name in also]
        words = BooleanQuery([(Occur.SHOULD, query) for query in [words, *names]])
    query = table.search(words, query_type="fts")
    return query.select([*columns, "_score"]).limit(limit)


def _match(text: str, **options: Any) -> Any:  # noqa: ANN401
    # Its optional fields are pydantic's, which a type checker takes for ones that must be given.
    make: Any = MatchQuery
    return make(text, "chunk_text", **options)
