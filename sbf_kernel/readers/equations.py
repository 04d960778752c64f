"""Office equations (OMML) as one line of text, close to what one would type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.readers.tree import Element

_SKIPPED: Final = frozenset({
    "rPr", "ctrlPr", "fPr", "sSupPr", "sSubPr", "sSubSupPr", "radPr", "naryPr", "dPr", "funcPr", "accPr", "barPr",
    "mPr", "limLowPr", "limUppPr", "groupChrPr", "boxPr", "eqArrPr", "mrPr", "phantPr", "sPrePr", "borderBoxPr",
    "argPr", "oMathParaPr"
})  # fmt: skip


def equation_text(node: Element) -> str:
    """Return an OMML element as text: ``(a+b)/(c)``, ``x^(2)``, ``sqrt(x)``."""
    return " ".join(_text(node).split())


def _name(node: Element) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _text(node: Element) -> str:
    tag = _name(node)
    if tag in _SKIPPED or not tag:
        return ""
    if tag == "t":
        return node.text or ""
    shape = _SHAPES.get(tag)
    return shape(node) if shape else "".join(_text(child) for child in node)


def _part(node: Element, name: str) -> str:
    return "".join(_text(child) for child in node if _name(child) == name)


def _group(text: str) -> str:
    return text if len(text) < 2 or (text.isalnum() and len(text) < 4) else f"({text})"


def _property(node: Element, name: str, default: str) -> str:
    for part in node.iter():
        if _name(part) == name:
            return next((str(v) for k, v in part.attrib.items() if str(k).endswith("val")), default)
    return default


def _sum(node: Element) -> str:
    low, high = _part(node, "sub"), _part(node, "sup")
    limits = (f"_{_group(low)}" if low else "") + (f"^{_group(high)}" if high else "")
    return f"{_property(node, 'chr', '∫')}{limits} {_part(node, 'e')}"


def _brackets(node: Element) -> str:
    inner = ", ".join(_text(child) for child in node if _name(child) == "e")
    return f"{_property(node, 'begChr', '(')}{inner}{_property(node, 'endChr', ')')}"


_SHAPES: Final[dict[str, Callable[[Element], str]]] = {
    "f": lambda n: f"{_group(_part(n, 'num'))}/{_group(_part(n, 'den'))}",
    "sSup": lambda n: f"{_part(n, 'e')}^{_group(_part(n, 'sup'))}",
    "sSub": lambda n: f"{_part(n, 'e')}_{_group(_part(n, 'sub'))}",
    "sSubSup": lambda n: f"{_part(n, 'e')}_{_group(_part(n, 'sub'))}^{_group(_part(n, 'sup'))}",
    "rad": lambda n: f"sqrt{'[' + _part(n, 'deg') + ']' if _part(n, 'deg') else ''}({_part(n, 'e')})",
    "nary": _sum,
    "d": _brackets,
    "func": lambda n: f"{_part(n, 'fName')} {_part(n, 'e')}",
    "limLow": lambda n: f"{_part(n, 'e')}_{_group(_part(n, 'lim'))}",
    "mr": lambda n: ", ".join(_text(c) for c in n if _name(c) == "e") + "; ",
    "m": lambda n: "[" + "".join(_text(c) for c in n).rstrip("; ") + "]",
}
