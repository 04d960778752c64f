"""What a tenant holds, and every operation that names some of it, generated from the table of operations."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

from sbf_kernel import handlers
from sbf_kernel import operations as op
from sbf_kernel.handlers import access

if TYPE_CHECKING:
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

KINDS = sorted((*handlers.CALLS, *handlers.STREAMS), key=lambda kind: kind.__name__)
Ids = dict[str, UUID]
"""Ids by the name a field has that takes one."""
PLURAL = {"notebook_ids": "notebook_id", "source_ids": "source_id", "job_ids": "job_id", "levels": "source_id"}
"""Fields that take several, and what of."""
GIVEN: dict[str, Any] = {
    "name": "taken", "title": "taken", "text": "What grows there?", "query": "what grows there", "question": "What grows there?",
    "origin": "text:planted", "content": b"planted", "member": "anybody", "description": "taken", "page": 1,
    "password": "a long password", "new_password": "a long password", "refresh_token": "x", "invitation": "x", "template": "reading_list",
}  # fmt: skip
"""What fields get that take no ids; the others keep their defaults."""


def names_objects(kind: type[op.Operation]) -> list[str]:
    """Return the fields of an operation that take ids, whatever they are called."""
    hints = typing.get_type_hints(kind)
    return [name for name in kind.model_fields if _mentions(hints[name])]


def _mentions(annotation: Any) -> bool:
    return annotation is UUID or any(map(_mentions, typing.get_args(annotation)))


def values(kind: type[op.Operation], ids: Ids, fields: Iterable[str] | None = None) -> dict[str, Any]:
    """Return what goes into an operation, with ids in these fields; by default in all that take one.

    Raises
    ------
    KeyError
        Nobody has told this module of ids for a field.
    """
    found = {name: value for name, value in GIVEN.items() if name in kind.model_fields}
    for name in names_objects(kind) if fields is None else fields:
        one = ids[PLURAL.get(name, name)]
        found[name] = {one: "full"} if name == "levels" else (one,) if name in PLURAL else one
    return found


@dataclass(frozen=True)
class Probe:
    """An operation in which some fields name objects of somebody else, and the others one's own."""

    kind: type[op.Operation]
    foreign: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind.__name__}({', '.join(self.foreign)})"

    def operation(self, own: Ids, theirs: Ids) -> op.Operation:
        """Return it. Optional fields without a foreign id are left out."""
        own_fields = [
            name
            for name in names_objects(self.kind)
            if self.kind.model_fields[name].is_required() and name not in self.foreign
        ]
        return self.kind(**values(self.kind, own, own_fields) | values(self.kind, theirs, self.foreign))


def probes() -> Iterator[Probe]:
    """Yield each operation with each single field that takes an id foreign, and with all of them."""
    for kind in KINDS:
        fields = names_objects(kind)
        for name in fields:
            yield Probe(kind, (name,))
        if len(fields) > 1:
            yield Probe(kind, tuple(fields))


def random_ids() -> Ids:
    """Ids of nothing at all."""
    return {name: uuid4() for name in FIELDS}


FIELDS = (
    "notebook_id", "source_id", "version_id", "answer_id", "chat_id", "message_id", "note_id", "job_id", "token_id", "user_id", "report_id",
)  # fmt: skip


def fill(runtime: Runtime, loop: LoopThread, principal: Principal, word: str) -> Ids:
    """Let a user have one of everything, with a word in it that nobody else uses; returns the ids."""

    async def call(operation: op.Operation) -> Any:
        if not operation.streams:
            return await access.call(runtime, principal, operation)
        return [record async for record in access.stream(runtime, principal, operation)][-1]

    async def all_of_it() -> Ids:
        notebook = await call(op.CreateNotebook(name=f"{word} notebook", description=word))
        content = f"The {word} grows near the old harbour, says the {word} book.".encode()
        source = await call(
            op.AddSource(notebook_id=notebook.id, name=f"{word} source", origin=f"text:{word}", content=content)
        )
        source = await call(op.WatchSources(source_ids=(source.id,)))
        answer = await call(op.Ask(question=f"Where does the {word} grow?", notebook_ids=(notebook.id,)))
        chat = await call(op.CreateChat(notebook_id=notebook.id, title=f"{word} chat"))
        message = await call(op.SendMessage(chat_id=chat.id, text=f"Where does the {word} grow?"))
        note = await call(op.CreateNote(notebook_id=notebook.id, title=f"{word} note", text=word))
        jobs = await call(op.ListJobs(kind="ingest"))
        report = await call(op.RunReport(notebook_id=notebook.id, template=GIVEN["template"]))
        report = await call(op.WatchJobs(job_ids=(report.id,)))
        token = await call(op.CreateApiToken(name=f"{word} token"))
        assert source.status == "ready"
        assert answer.answered
        assert report.status == "done", report
        return {
            "notebook_id": notebook.id, "source_id": source.id, "version_id": source.version_id, "answer_id": answer.id,
            "chat_id": chat.id, "message_id": message.id, "note_id": note.id, "job_id": jobs.items[0].id,
            "token_id": token.token.id, "user_id": UUID(principal.user_id),
            "report_id": report.subject_id,
        }  # fmt: skip

    return loop.run(all_of_it())


@dataclass(frozen=True)
class Told:
    """What the service answered."""

    status: int
    body: str

    def without(self, operation: op.Operation) -> Told:
        """Return it without what is of this one request: the ids that were sent, the request's own, and times."""
        body = self.body
        for name, sent in sorted(operation):
            for number, value in enumerate(sent if isinstance(sent, tuple | dict) else (sent,)):
                if isinstance(value, UUID):
                    body = body.replace(str(value), f"<{name} {number}>")
        return Told(self.status, OF_THE_REQUEST.sub("", body))


OF_THE_REQUEST = re.compile(r'"(?:instance|id|created_at)":"[^"]*",?|"milliseconds":[\d.]+,?')


def send(url: str, token: str, operation: op.Operation, accept: str = "application/json") -> Told:
    """Send an operation as any HTTP client would."""
    sent = json.loads(operation.model_dump_json())
    path = operation.path.format(**{name: quote(str(value), safe="") for name, value in sent.items()})
    rest = {n: v for n, v in sent.items() if "{" + n + "}" not in operation.path and v is not None}
    body = None
    if operation.method in ("GET", "DELETE"):
        path += "?" + urlencode(rest, doseq=True)
    else:
        body = json.dumps(rest).encode()
    return post(url + path, token, body, "application/json", accept, operation.method)


def post(
    url: str, token: str, body: bytes | None, content_type: str, accept: str = "application/json", method: str = "POST"
) -> Told:
    """Send a request of any method."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type, "Accept": accept}
    try:
        with urlopen(Request(url, body, headers, method=method), timeout=60) as response:
            return Told(response.status, response.read().decode())
    except HTTPError as error:
        return Told(error.code, error.read().decode())
