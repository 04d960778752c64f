"""Sources as BibTeX, for whoever writes on in LaTeX."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from sbf_kernel.display.escaping import View, clean, element, one_line
from sbf_kernel.display.style import view

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def bibtex(sources: Iterable[Any]) -> View:
    """Return an entry per source: title, web address, the version and the hash of its bytes.

    Authors and years are not known to SBF; the entries are ``@misc`` for you to complete.

    Parameters
    ----------
    sources
        :class:`sbf_kernel.records.Source`.
    """
    entries, taken = [], set[str]()
    for source in sources:
        key = base = _key(source.name)
        number = 1
        while key in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key)
        entries.append(_entry(key, source))
    text = "\n\n".join(entries)
    return View(
        plain=text, html=view("BibTeX", element("pre", text, class_="sbf-bibtex")), markdown=f"```bibtex\n{text}\n```"
    )


def _entry(key: str, source: Any) -> str:
    web = source.origin if source.origin.startswith(("http://", "https://")) else ""
    fields = {
        "title": "{" + _latex(source.name) + "}",
        "url": clean(web).replace("{", "%7B").replace("}", "%7D").replace("\\", "%5C").replace("\n", ""),
        "note": f"Version {source.version}, SHA-256 {source.sha256[:16]}" if source.version else "",
        "language": source.language,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _key(name: str) -> str:
    """Return a citation key: the first words of the name in plain letters."""
    plain = unicodedata.normalize("NFKD", name.rpartition(".")[0] or name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    return "-".join(words[:4])[:40] or "source"


def _latex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in one_line(text))
