"""Bars: a small chart that is a table, so that it prints, exports and can be read aloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel.display.escaping import WIDTH, View, clip, columns, element, markdown, one_line
from sbf_kernel.display.style import view

if TYPE_CHECKING:
    from collections.abc import Sequence

_LABEL = 40
_ROOM = 40
"""Columns of the longest bar of the plain face."""


def bars(title: str, rows: Sequence[tuple[str, float]], *, most: int = 15) -> View:
    """Return amounts as horizontal bars, longest first.

    Parameters
    ----------
    rows
        Labels and amounts, none below zero.
    most
        Bars to show; the others are added up in one called “others”.
    """
    ranked = sorted(((one_line(label), amount) for label, amount in rows), key=lambda row: -row[1])
    if rest := ranked[most:]:
        ranked = [*ranked[:most], (f"{len(rest)} others", sum(amount for _, amount in rest))]
    longest = max((amount for _, amount in ranked), default=0) or 1
    shown = [
        (clip(label, 120), f"{amount:,.4g}" if amount % 1 else f"{amount:,.0f}", amount / longest)
        for label, amount in ranked
    ]
    body = [
        element(
            "tr",
            element("th", label, scope="row"),
            element(
                "td", element("div", class_="sbf-bar", style=f"width:{max(1, round(share * 100))}%"), class_="sbf-bars"
            ),
            element("td", amount, class_="sbf-number"),
        )
        for label, amount, share in shown
    ]
    table = element("table", element("caption", one_line(title)), element("tbody", *body), class_="sbf-table sbf-chart")
    lines = [f"| {markdown(label)} | {amount} |" for label, amount, _ in shown]
    return View(
        plain="\n".join([one_line(title), *_plain(shown)]),
        html=view(one_line(title), table),
        markdown="\n".join([f"**{markdown(title)}**", "", "|  | amount |", "| --- | ---: |", *lines]),
    )


def _plain(shown: Sequence[tuple[str, str, float]]) -> list[str]:
    labels = [clip(label, _LABEL) for label, _, _ in shown]
    width = min(max(map(columns, labels), default=0), WIDTH - _ROOM - 10)
    amounts = max((len(amount) for _, amount, _ in shown), default=0)
    return [
        f"{label}{' ' * max(0, width - columns(label))}  {amount:>{amounts}}  {'█' * max(1, round(share * _ROOM))}"
        for label, (_, amount, share) in zip(labels, shown, strict=True)
    ]
