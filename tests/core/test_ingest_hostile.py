"""Files and archives that are broken or made to harm: each is loaded or refused with a reason."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from reportlab.pdfgen import canvas

from dagster_project.core.build import Headrace
from dagster_project.core.errors import ConfigurationError
from dagster_project.core.ingest import Limits, ingest_files, ingest_notion, ingest_slack

from .papers import bodies, pdf, quarantine, raw_rows, write_docx

MUTANTS = 460
HTML = (
    b"<html><body><main><h1>Title</h1>" + b"<p>Some text here.</p>" * 50 + b"</main></body></html>"
)
MARKDOWN = b"---\ntitle: A note\nowner: me\n---\n# A note\n\n" + b"Some text here.\n\n" * 50


def _docx() -> bytes:
    target = io.BytesIO()
    write_docx(target, 1)
    return target.getvalue()


def _zip(entries: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target.getvalue()


def _with(docx: bytes, name: str, data: bytes) -> bytes:
    """A Word file with another part in place of one of its own, or beside them."""
    with zipfile.ZipFile(io.BytesIO(docx)) as archive:
        return _zip({n: archive.read(n) for n in archive.namelist()} | {name: data})


def _pdf_of(
    stream: bytes, filters: str = "/FlateDecode", pages: bytes = b"/Kids[3 0 R]/Count 1"
) -> bytes:
    """A PDF of one page with this content stream, and a tree of pages."""
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages%s>>" % pages,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d/Filter[%s]>>stream\n%s\nendstream" % (len(stream), filters.encode(), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    made, offsets = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    xref = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return made + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, xref)


def _scanned() -> bytes:
    """A PDF whose only page is a picture."""
    target = io.BytesIO()
    page = canvas.Canvas(target)
    page.drawInlineImage(Image.linear_gradient("L").resize((400, 500)), 50, 50, 500, 700)
    page.save()
    return target.getvalue()


def _back_to_itself() -> bytes:
    """A PDF whose table of contents says that the one before it is itself."""
    made = _pdf_of(zlib.compress(b""))
    return made.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % made.rindex(b"xref\n0"))


def _zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(1)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


def _truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice([1, 10, 200])):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def _noise(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(len(data))


def _noisy_tail(data: bytes, chance: random.Random) -> bytes:
    cut = chance.randrange(8, len(data))
    return data[:cut] + chance.randbytes(len(data) - cut)


def _shuffled(data: bytes, chance: random.Random) -> bytes:
    parts = [data[at : at + 64] for at in range(0, len(data), 64)]
    chance.shuffle(parts)
    return b"".join(parts)


def _odd_letters(data: bytes, chance: random.Random) -> bytes:
    odd = "\x00\u202e\u0000\ufffe\ufeff\u200b𝔘🧨e\u0301" * chance.randrange(1, 20)
    cut = chance.randrange(len(data))
    return data[:cut] + odd.encode() + data[cut:]


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _truncated, _flipped, _noise, _noisy_tail, _shuffled, _odd_letters
]  # fmt: skip


def _specials(docx: bytes) -> dict[str, tuple[bytes, str]]:
    """Files that are refused, and a part of the reason."""
    entities = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    aliases = "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}]" for n in range(30))
    deep_xml = b"<w:document>" + b"<w:p>" * 50_000
    return {
        "bomb.docx": (_with(docx, "word/media/x.bin", bytes(250_000_000)), "a zip bomb"),
        "bombs.docx": (_with(docx, "word/media/x.bin", bytes(310_000_000)), "it unpacks to"),
        "outside.docx": (_with(docx, "../../etc/x.xml", b"<a/>"), "leads outside"),
        "absolute.docx": (_with(docx, "/etc/x.xml", b"<a/>"), "leads outside"),
        "entities.docx": (_with(docx, "word/document.xml", entities), "declares a document type"),
        "deep.docx": (_with(docx, "word/document.xml", deep_xml), ""),
        "other.docx": (_zip({"a.txt": b"text"}), "no Word document"),
        "bomb.pdf": (_pdf_of(_zeros(2_500)), "more memory"),
        "scanned.pdf": (_scanned(), "only pictures of pages"),
        "no-pages.pdf": (_pdf_of(zlib.compress(b""), pages=b"/Kids[]/Count 0"), ""),
        "circle.pdf": (_pdf_of(zlib.compress(b""), pages=b"/Kids[2 0 R]/Count 1"), ""),
        "back-to-itself.pdf": (_back_to_itself(), "nested too deeply"),
        "no-such-filter.pdf": (_pdf_of(b"text", "/None"), "Unsupported filter"),
        "bad-lzw.pdf": (_pdf_of(b"\xff" * 3_000, "/LZWDecode"), "damaged"),
        "deep.pdf": (_pdf_of(zlib.compress(b"[" * 100_000)), "it has no text"),
        "no-text.pdf": (_pdf_of(zlib.compress(b"0 0 m 1 1 l S")), "it has no text"),
        "damaged.pdf": (_pdf_of(zlib.compress(b"BT /F1 12 Tf (a) Tj ET" * 900)[:60]), "damaged"),
        "encrypted.pdf": (pdf(encrypt="secret"), "encrypted"),
        "is-a-pdf.docx": (pdf(), "holds a PDF"),
        "is-a-zip.pdf": (docx, "holds a zip"),
        "is-a-pdf.md": (pdf(), "holds a PDF"),
        "is-a-picture.html": (b"\x89PNG\r\n\x1a\n" + bytes(100), "holds a picture"),
        "is-old.docx": (b"\xd0\xcf\x11\xe0" + bytes(600), "old or encrypted Office"),
        "is-rtf.docx": (b"{\\rtf1 text}", "an RTF file"),
        "is-html.docx": (HTML, "something else, not docx"),
        "is-html.pdf": (HTML, "something else, not pdf"),
        "is-gzip.pdf": (b"\x1f\x8b\x08" + bytes(50), "a gzip archive"),
        "empty.pdf": (b"", "empty"),
        "empty.md": (b"", "empty"),
        "aliases.md": (f"---\na0: &a0 [1]\n{aliases}\n---\ntext".encode(), "uses an alias"),
        "deep.md": (b"---\na: " + b"[" * 20_000 + b"\n---\ntext", "nested too deeply"),
        "long.md": (b"---\na: " + b"x" * 200_000 + b"\n---\ntext", "keep it under"),
        "code.md": (b"---\na: !!python/object/apply:os.abort []\n---\ntext", "is not YAML at line"),
        "torn.md": (b"---\na: [b\n---\ntext", "is not YAML at line"),
        "late.md": (b"---\nvalid_to: 99999-01-01\n---\ntext", "write it as YYYY-MM-DD"),
        "nobodys.md": (b"---\naccess: []\n---\ntext", "access is an empty list"),
        "infinite.md": (b"---\na: .inf\n---\ntext", "infinite"),
        "latin.txt": ("caf\xe9 ".encode("latin-1") * 50, "not UTF-8 at byte 3"),
        "utf16.txt": ("some text".encode("utf-16"), "not UTF-8 at byte 0"),
        "overlong.txt": (b"\xc0\xaf text", "not UTF-8 at byte 0"),
        "surrogate.txt": (b"text \xed\xa0\x80", "not UTF-8 at byte 5"),
        "latin.html": ("<p>caf\xe9</p>".encode("latin-1") * 50, "not UTF-8 at byte 6"),
        "deep.html": (b"<div>" * 30_000 + b"text", "nested too deeply"),
        "deep-list.html": (b"<ul><li>" * 400 + b"text", "nested too deeply"),
        "frames.html": (b"<frameset><frame src=/etc/passwd></frameset>", "no text outside"),
        "huge.txt": (b"some text " * 1_300_000, "HEADRACE_MAX_FILE_MB"),
        "zeros.md": (bytes(5_000), "nothing but zeros"),
        "zeros.html": (bytes(5_000), "nothing but zeros"),
        "only-script.html": (b"<body><script>1</script></body>", "no text outside"),
    }


def _oddities(docx: bytes) -> dict[str, bytes]:
    """Files that are made to harm, and of which something can be read."""
    with zipfile.ZipFile(io.BytesIO(docx)) as archive:
        document = archive.read("word/document.xml")
        untyped = {n: archive.read(n) for n in archive.namelist() if n != "[Content_Types].xml"}
    wide = document.replace(b"<w:tcPr>", b'<w:tcPr><w:gridSpan w:val="1000000000"/>')
    assert wide != document
    return {
        "wide.docx": _with(docx, "word/document.xml", wide),
        "untyped.docx": _zip(untyped),
        "wide.html": b"<table><tr><td colspan=1000000000>text</td></tr></table>",
        "tall.html": b"<table><tr><td rowspan=1000000000>text</td></tr></table>",
        "attributes.html": b"<p " + b"a=1 " * 100_000 + b">text</p>",
        "no-characters.html": b"<p>text &#1114112;&#xD800;</p>",
        "open-comment.html": b"<p>text<!--" + b"-" * 100_000,
        "nul.md": b"# A note\n\nSome\x00text.",
        "unclosed.md": b"---\ntitle: a\n\ntext",
        "two\nlines.md": b"text",
        "quote'\";--.md": b"text",
        "%s%00.md": b"text",
        f"{'long' * 60}.md": b"text",
    }


@pytest.fixture(scope="module")
def reasons() -> dict[str, str]:
    """What is said of each file that must be refused."""
    return {"sparse.pdf": "HEADRACE_MAX_FILE_MB"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, reasons: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    docx = _docx()
    bases = {"pdf": pdf(), "docx": docx, "html": HTML, "md": MARKDOWN}
    chance = random.Random(7)
    for number in range(MUTANTS):
        suffix = list(bases)[number % 4]
        mutate = MUTATIONS[number // 4 % len(MUTATIONS)]
        (folder / f"mutant{number}.{suffix}").write_bytes(mutate(bases[suffix], chance))
    for name, (data, reason) in _specials(docx).items():
        (folder / name).write_bytes(data)
        reasons[name] = reason
    for name, data in _oddities(docx).items():
        (folder / name).write_bytes(data)
    # It takes no room on the disk, and would take all of the memory.
    with (folder / "sparse.pdf").open("wb") as sparse:
        sparse.write(b"%PDF-1.7\n")
        sparse.truncate(500_000_000)
    for suffix, data in bases.items():
        (folder / f"good.{suffix}").write_bytes(data)
    return folder


def _entangle(folder: Path, outside: Path) -> dict[str, str]:
    """Names in the file system that are no plain files, with a part of the reason."""
    (outside / "secret.md").write_text("a secret")
    (folder / "leads-out.md").symlink_to(outside / "secret.md")
    (folder / "loop.md").symlink_to(folder / "loop.md")
    (folder / "gone.md").symlink_to(folder / "not-there.md")
    (folder / "up").symlink_to(folder)
    (folder / "is-a-folder.pdf").mkdir()
    (folder / "is-a-folder.pdf" / "inside.md").write_text("inside")
    os.mkfifo(folder / "pipe.txt")
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / os.fsdecode(b"bad\xff.md")).write_text("a name that is no UTF-8")
    return {
        "leads-out.md": "leads out of the folder",
        "loop.md": "cannot be read",
        "gone.md": "cannot be read",
        "up/": "a link to a folder",
        "pipe.txt": "a pipe, a device",
        "device.txt": "leads out of the folder",
        "bad?.md": "no UTF-8: rename it",
    }


def test_each_file_is_loaded_or_refused_with_a_reason(
    headrace: Headrace, folder: Path, reasons: dict[str, str], tmp_path: Path
) -> None:
    reasons |= _entangle(folder, tmp_path)
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    good = {f"hostile:good.{suffix}" for suffix in ("pdf", "docx", "html", "md")}
    good |= {"hostile:is-a-folder.pdf/inside.md"}
    odd = {f"hostile:{name}" for name in _oddities(_docx())}
    # A link to a folder is no file, and is refused as one.
    assert len(files) + 1 - len(good) == MUTANTS + len(reasons) + len(odd) == 530
    limits = Limits(size=12_000_000, processes=2)
    report = ingest_files(headrace.warehouse, str(folder), "hostile", limits)
    loaded, refused = bodies(headrace, "hostile"), quarantine(headrace, "hostile")
    assert report.added == len(loaded)
    for path in files:
        name = path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
        assert (f"hostile:{name}" in loaded) != (f"hostile:{name}" in refused), name
    assert all(refused.values())
    assert all(body.strip() for body in loaded.values())
    for name, reason in reasons.items():
        assert reason in refused[f"hostile:{name}"], name
    assert good | odd <= set(loaded)
    # The mutants fail in many ways, and some not at all.
    assert len({reason for key, reason in refused.items() if "mutant" in key}) > 20
    assert sum("mutant" in key for key in loaded) > 50


def test_a_file_that_takes_too_long_is_refused_and_the_next_is_read(
    headrace: Headrace, tmp_path: Path
) -> None:
    lines = zlib.compress(b"0 0 m 9 9 l S " * 3_000_000)
    (tmp_path / "endless.pdf").write_bytes(_pdf_of(lines))
    (tmp_path / "later.html").write_bytes(HTML)
    limits = Limits(seconds=8, processes=1)
    report = ingest_files(headrace.warehouse, str(tmp_path), "slow", limits)
    assert [refusal.reason for refusal in report.refused] == [
        "it takes over 8 s to parse: make it smaller or simpler"
    ]
    assert report.added == 1


def test_what_was_loaded_of_a_file_that_broke_stays(headrace: Headrace, tmp_path: Path) -> None:
    for name, data in {"a.pdf": pdf(), "b.html": HTML, "c.docx": _docx()}.items():
        (tmp_path / name).write_bytes(data)
    ingest_files(headrace.warehouse, str(tmp_path), "kept")
    before = raw_rows(headrace, "kept")
    for name in ("a.pdf", "b.html", "c.docx"):
        (tmp_path / name).write_bytes(b"\xfd\xfc" * 100)
    report = ingest_files(headrace.warehouse, str(tmp_path), "kept")
    assert (report.deleted, len(report.refused)) == (0, 3)
    assert raw_rows(headrace, "kept") == before


@pytest.mark.parametrize(("place", "url"), [("", ""), ("", "file://"), ("sub", "file://")])
def test_a_folder_that_cannot_be_listed_takes_nothing_away(
    place: str, url: str, headrace: Headrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("A text.")
    (tmp_path / "sub" / "b.txt").write_text("Another text.")
    ingest_files(headrace.warehouse, f"{url}{tmp_path}", "shared")
    before, scandir = raw_rows(headrace, "shared"), os.scandir

    def fails(folder: str) -> object:
        # As a share does whose server is away.
        if Path(folder) == tmp_path / place:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fails)
    with pytest.raises(ConfigurationError, match=r"cannot be listed.* Nothing was changed"):
        ingest_files(headrace.warehouse, f"{url}{tmp_path}", "shared")
    assert len(before) == 2 and raw_rows(headrace, "shared") == before


CHANNELS = json.dumps([{"id": "C1", "name": "general", "members": []}]).encode()
DAY = json.dumps([{"type": "message", "ts": "1767225600.000100", "user": "U1", "text": "Hi all"}])
SLACK = {"channels.json": CHANNELS, "users.json": b"[]", "general/2026-01-01.json": DAY.encode()}
HEX = "0123456789abcdef" * 2
NOTION = {f"Page {HEX}.md": b"# Page\n\nText", f"Data {HEX[::-1]}.csv": b"Name,Age\nAda,36\n"}


def _entry(name: str, **facts: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        for key, value in facts.items():
            setattr(info, key, value)
        archive.writestr(info, "target")
    return target.getvalue()


def _encrypted() -> bytes:
    made = bytearray(_zip(SLACK))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = made.find(mark)
        made[at + offset] |= 1
    return bytes(made)


def _archives() -> dict[str, bytes]:
    chance = random.Random(3)
    slack, notion = _zip(SLACK), _zip(NOTION)
    link = stat.S_IFLNK << 16
    archives = {
        "no zip": b"text",
        "empty": b"",
        "empty zip": _zip({}),
        "bomb": _zip(SLACK | {"general/big.json": bytes(300_000_000)}),
        "outside": _zip(SLACK | {"../x.json": b"[]"}),
        "absolute": _zip(SLACK | {"/x.json": b"[]"}),
        "backslashes": _zip(SLACK | {"..\\x.json": b"[]"}),
        "drive": _zip(SLACK | {"C:\\x.json": b"[]"}),
        "link": _entry("channels.json", external_attr=link),
        "encrypted": _encrypted(),
        "zip in zip in zip": _zip({"a.zip": _zip({"b.zip": slack})}),
        "broken zip in zip": _zip({"a.zip": slack[:100]}),
        "users no list": _zip(SLACK | {"users.json": b"{}"}),
        "channels no JSON": _zip(SLACK | {"channels.json": b"[{"}),
        "channel without id": _zip(SLACK | {"channels.json": b"[{}]"}),
        "day no JSON": _zip(SLACK | {"general/2026-01-01.json": b"[{"}),
        "day no objects": _zip(SLACK | {"general/2026-01-01.json": b"[1]"}),
        "message without ts": _zip(SLACK | {"general/2026-01-01.json": b"[{}]"}),
        "odd ts": _zip(SLACK | {"general/2026-01-01.json": b'[{"ts": "x", "text": "a"}]'}),
        "deep JSON": _zip(SLACK | {"general/2026-01-01.json": b"[" * 100_000}),
        "not UTF-8": _zip({f"Page {HEX}.md": b"caf\xe9"}),
        "empty CSV": _zip({f"Data {HEX}.csv": b""}),
        "API no JSON": _zip({"a.json": b"{"}),
        "API of nothing": _zip({"a.json": b'{"object": "user", "id": "1"}'}),
    }
    for number in range(6):
        data = bytearray(slack if number % 2 else notion)
        for _ in range(20):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        archives[f"flipped {number}"] = bytes(data)
    return archives


def test_a_broken_archive_takes_nothing_away(headrace: Headrace, tmp_path: Path) -> None:
    loads: list[tuple[str, Callable[[Path], object], dict[str, bytes]]] = [
        ("chat", lambda path: ingest_slack(headrace.warehouse, path, "chat"), SLACK),
        ("wiki", lambda path: ingest_notion(headrace.warehouse, path, "wiki"), NOTION),
    ]
    for source, ingest, entries in loads:
        path = tmp_path / "good.zip"
        path.write_bytes(_zip(entries))
        ingest(path)
        before = raw_rows(headrace, source)
        assert len(before) == len([name for name in entries if "/" in name or " " in name])
        archives = _archives()
        assert len(archives) == 30
        for name, data in archives.items():
            path = tmp_path / "bad.zip"
            path.write_bytes(data)
            try:
                ingest(path)
            except ConfigurationError as error:
                assert "bad.zip" in str(error)
                assert "othing was changed" in str(error), name
                assert raw_rows(headrace, source) == before, name
            else:
                # Read in part or whole: what is gone was refused, or is gone from the archive.
                found = set(raw_rows(headrace, source))
                assert found or not quarantine(headrace, source), name
            path = tmp_path / "good.zip"
            ingest(path)
            assert raw_rows(headrace, source) == before, name
