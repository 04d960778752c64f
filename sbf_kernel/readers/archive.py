"""ZIP containers (DOCX, PPTX, XLSX, ODT, EPUB), opened only after counting what they would unpack to.

A kilobyte can inflate to gigabytes and a megabyte of XML to gigabytes of
tree, so sizes, ratios and elements are counted before anything is parsed.
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from typing import Final
from urllib.parse import unquote

from sbf_kernel.errors import SourceBroken, SourceEncrypted, SourceTooLarge
from sbf_kernel.readers.tree import Element, parse_xml

MAX_MEMBERS: Final = 10_000
MAX_TOTAL: Final = 200 * 2**20
"""Bytes of all members together, unpacked."""
MAX_RATIO: Final = 100
"""For members over one megabyte; XML of real documents stays below 40."""
_LARGE: Final = 2**20


class Archive:
    """The members of a ZIP container that passed the checks.

    Raises
    ------
    SourceTooLarge
        Too many members, too many bytes, or a member that inflates beyond reason.
    SourceEncrypted, SourceBroken
        Members are encrypted; the directory or a member is damaged.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._name = name
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, struct.error) as error:
            raise SourceBroken(f"{name!r} is damaged: its container cannot be opened ({error})") from error
        members = self._zip.infolist()
        self._check(members)
        self._members = {member.filename.replace("\\", "/").lstrip("/"): member for member in members}
        self._folded = {path.lower(): path for path in self._members}

    def _check(self, members: list[zipfile.ZipInfo]) -> None:
        if len(members) > MAX_MEMBERS:
            raise SourceTooLarge(f"{self._name!r} holds {len(members):,} files; the limit is {MAX_MEMBERS:,}")
        total = sum(member.file_size for member in members)
        if total > MAX_TOTAL:
            raise SourceTooLarge(
                f"{self._name!r} would unpack to {total / 2**20:,.0f} MB; the limit is {MAX_TOTAL // 2**20} MB"
            )
        for member in members:
            if member.flag_bits & 1:
                raise SourceEncrypted(f"{self._name!r} is encrypted ({member.filename!r})")
            if member.file_size > _LARGE and member.file_size > MAX_RATIO * max(member.compress_size, 1):
                raise SourceTooLarge(
                    f"{self._name!r} looks like a ZIP bomb: {member.filename!r} inflates more than {MAX_RATIO} times"
                )

    @property
    def names(self) -> list[str]:
        """The members' paths, in the order of the directory."""
        return list(self._members)

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def _find(self, path: str) -> str | None:
        path = posixpath.normpath(path.lstrip("/"))
        return path if path in self._members else self._folded.get(path.lower())

    def read(self, path: str) -> bytes:
        """Return a member's bytes, not one more than the directory promised; b'' when there is none."""
        found = self._find(path)
        if found is None:
            return b""
        member = self._members[found]
        try:
            with self._zip.open(member) as stream:
                data = stream.read(member.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
            raise SourceBroken(f"{self._name!r} is damaged: {found!r} cannot be unpacked ({error})") from error
        if len(data) > member.file_size:
            raise SourceTooLarge(f"{self._name!r} looks like a ZIP bomb: {found!r} is larger than it says")
        return data

    def xml(self, path: str) -> Element | None:
        """Return the root of an XML member, or None when there is no such member."""
        data = self.read(path)
        return parse_xml(data, f"{self._name!r}: {path}") if data.strip() else None

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the OOXML relations of ``part``: id → (last word of the type, path of the target)."""
        folder, file = posixpath.split(part)
        root = self.xml(f"{folder}/_rels/{file}.rels")
        found: dict[str, tuple[str, str]] = {}
        for node in root if root is not None else ():
            target, kind = node.get("Target") or "", (node.get("Type") or "").rpartition("/")[2]
            if node.get("TargetMode") != "External" and target:
                path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, unquote(target))
                found[node.get("Id") or ""] = (kind, posixpath.normpath(path))
        return found
