"""Reading documents and cutting them into overlapping passages: nothing here knows of messages."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

LINES = 30  # of a passage
STEP = 25  # from the first line of one passage to that of the next; less than LINES, so they overlap
LARGEST = 4 << 20  # bytes of a file worth reading

NOT_DOCUMENTS = {"__pycache__", "dist-packages", "node_modules", "site-packages", "target"}  # folders
TESTS = {"idle_test", "test", "tests"}
NOT_TEXT = {  # not worth opening; what else is not text shows by its NULs
    ".7z", ".bz2", ".gif", ".gz", ".iso", ".jar", ".jpeg", ".jpg", ".mkv", ".mp3", ".mp4", ".parquet", ".pdf",
    ".png", ".pyc", ".so", ".tar", ".tgz", ".ttf", ".wasm", ".whl", ".woff", ".woff2", ".xz", ".zip", ".zst",
}  # fmt: skip

# The first line of a Python docstring, with comments and empty lines before it.
_DOCSTRING = re.compile(r'(?:[ \t]*(?:#.*)?\n)*[ \t]*[rR]?(?:"""|\'\'\'|")\s*(.+)')


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a file."""

    path: str
    title: str
    line: int  # number of the first one
    text: str


@dataclass
class Documents:
    """What was read."""

    source: str
    files: int = 0
    size: int = 0  # bytes
    passages: list[Passage] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)  # of each file
    texts: dict[str, bytes] = field(default_factory=dict)  # likewise, as they were read

    def read(self, root: Path, files: Iterable[Path], shown: str = "") -> None:
        """Read `files` below `root`; their names are shown relative to it, behind `shown`."""
        for file in files:
            data = _text_of(file)
            if data:
                path = printable(os.path.join(shown, file.relative_to(root)))[-700:]
                text = data.decode(errors="replace")
                self.files += 1
                self.size += len(data)
                self.titles[path] = _title(text)
                self.texts[path] = data
                self.passages.extend(_cut(path, self.titles[path], text))


def standard_library(repository: Path) -> Documents:
    """Read what every machine has: the sources of Python's standard library; and this repository's pages."""
    library = Path(sysconfig.get_paths()["stdlib"])
    documents = Documents(f"{library} and this repository's pages")
    documents.read(library, (file for file in _walk(library, TESTS) if file.suffix == ".py"))
    pages = sorted([*repository.glob("*.md"), *repository.glob("*/*.md")])
    documents.read(repository, (page for page in pages if page.parent.name not in NOT_DOCUMENTS | TESTS))
    return documents


def folder(root: Path) -> Documents:
    """Read every text file below a folder."""
    documents = Documents(str(root))
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder")
    documents.read(root, (file for file in _walk(root) if file.suffix.lower() not in NOT_TEXT), str(root))
    return documents


def _walk(root: Path, without: Set[str] = frozenset()) -> Iterator[Path]:
    for directory, folders, files in os.walk(root):
        wanted = {name for name in folders if not name.startswith(".")} - NOT_DOCUMENTS - without
        folders[:] = sorted(wanted)
        yield from (Path(directory, name) for name in sorted(files))


def _text_of(file: Path) -> bytes:
    """Answer the bytes of a text file, nothing of anything else: text holds no NUL."""
    try:
        if not file.is_file() or file.stat().st_size > LARGEST:
            return b""
        with file.open("rb") as opened:
            data = opened.read(8192)
            if b"\0" not in data:
                data += opened.read()
    except OSError:  # not ours to read, or gone meanwhile
        return b""
    return b"" if b"\0" in data else data


def _title(text: str) -> str:
    """Answer what a file says it is: the first line of its docstring, or its first line of several words."""
    docstring = _DOCSTRING.match(text)
    candidates = [docstring[1]] if docstring else text[:4000].splitlines()
    for candidate in candidates:
        words = candidate.strip(" \t#/*;-!<>=\"'").split()
        if len(words) > 1 and "coding:" not in words and "copyright" not in candidate.lower():
            return printable(" ".join(words))[:200]
    return ""


def printable(text: str) -> str:
    """Replace control characters: attributes do not allow them and terminals obey them."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _cut(path: str, title: str, text: str) -> Iterator[Passage]:
    lines = text.rstrip("\n").split("\n")  # as editors count, which splitlines() does not
    for start in range(0, len(lines), STEP):
        yield Passage(path, title, start + 1, "\n".join(lines[start : start + LINES]))
        if start + LINES >= len(lines):
            break
