"""A conversation: what was said, and the answers with their quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sbf_kernel.display.answers import answer
from sbf_kernel.display.escaping import Markup, View, element, markdown, one_line, paragraphs
from sbf_kernel.display.style import view
from sbf_kernel.display.tables import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = {"user": "You", "assistant": "Answer"}


def conversation(title: str, messages: Sequence[Any], earlier: int = 0) -> View:
    """Return messages one below the other.

    Parameters
    ----------
    messages
        Records of messages, oldest first.
    earlier
        How many came before them.
    """
    head = f"{earlier} earlier message{'s' * (earlier != 1)}" if earlier else ""
    views = [_message(message) for message in messages]
    return View(
        plain="\n\n".join(filter(None, [one_line(title), head, *(v.plain for v in views)])),
        html=view(
            one_line(title),
            element("p", element("bdi", one_line(title)), class_="sbf-question"),
            *([element("p", head, class_="sbf-head sbf-muted")] if head else []),
            *(Markup(v.html) for v in views),  # made by element already
        ),
        markdown="\n\n".join(filter(None, [f"**{markdown(title)}**", head, *(v.markdown for v in views)])),
    )


def _message(message: Any) -> View:
    if message.answer is not None:
        return answer(message.answer)
    name = _NAMES.get(message.role, message.role)
    state = "" if message.status == "done" else message.status
    error = one_line(message.error)
    said = [part for part in (message.text, error) if part]
    badge = [Markup(" "), Status(state).badge()] if state else []
    return View(
        plain="\n".join([f"{name}{f' · {state}' if state else ''}", *(paragraphs(part, indent="  ") for part in said)]),
        html=view(
            name,
            element("p", element("span", name, class_="sbf-source"), *badge, class_="sbf-head"),
            *([element("p", message.text, class_="sbf-text")] if message.text else []),
            *([element("p", error, class_="sbf-note sbf-bad", role="note")] if error else []),
        ),
        markdown="  \n".join(
            [
                f"**{name}**{f' · {state}' if state else ''}",
                *(markdown(line) for part in said for line in part.split("\n")),
            ]
        ),
    )
