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


def nearest(
    table: Any,  # noqa: ANN401 - LanceDB's tables are untyped
    vector: Sequence[float] | NDArray[np.float32],
    limit: int,
    columns: Sequence[str],
) -> Any:  # noqa: ANN401
    """A query for the rows whose vectors are nearest to one by their cosine."""
    query = table.search(vector, vector_column_name="vector").distance_type("cosine")
    return query.refine_factor(_REFINE).select([*columns, "_distance"]).limit(limit)


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
