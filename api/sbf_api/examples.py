"""An example of every request and every result, for the documentation; a test checks each against its model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sbf_kernel import operations as op
from sbf_kernel import records

if TYPE_CHECKING:
    from sbf_kernel.errors import SbfError

NOTEBOOK = "0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01"
SOURCE = "7a0b3c52-1c0d-4f5e-9a57-2f6d1e8b4c02"
VERSION = "b8d2f4c6-5a3e-4d1b-8c7f-9e0a1b2c3d03"
CHUNK = "c4e6a8b0-2d4f-4a6c-8e0b-1d3f5a7c9e04"
ANSWER = "d1f3b5a7-6c8e-4b0d-9f2a-4c6e8a0b2d05"
CHAT = "e2a4c6d8-7b9d-4c1e-8a3f-5d7f9b1c3e06"
MESSAGE = "f3b5d7e9-8c0e-4d2f-9b4a-6e8a0c2d4f07"
NOTE = "a4c6e8f0-9d1f-4e3a-8c5b-7f9b1d3e5a08"
JOB = "b5d7f9a1-0e2a-4f4b-9d6c-8a0c2e4f6b09"
USER = "c6e8a0b2-1f3b-4a5c-8e7d-9b1d3f5a7c10"
TOKEN = "d7f9b1c3-2a4c-4b6d-9f8e-0c2e4a6b8d11"  # noqa: S105 - an id
REPORT = "e8a0c2d4-3b5d-4c7e-8a9f-1d3f5b7c9e12"
TIME = "2026-11-27T09:30:00Z"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
QUOTE = "Caffeine delays the circadian clock by about forty minutes."

_LOCATION = {"page": 3, "headings": ["Results"]}
_NOTEBOOK = {
    "id": NOTEBOOK,
    "name": "Sleep",
    "created_at": TIME,
    "updated_at": TIME,
    "source_count": 1,
    "chunk_count": 12,
}
_SOURCE = {
    "id": SOURCE,
    "name": "caffeine.pdf",
    "origin": "file:///papers/caffeine.pdf",
    "media_type": "application/pdf",
    "status": "ready",
    "stage": "stored",
    "version": 1,
    "version_id": VERSION,
    "language": "en",
    "char_count": 4096,
    "chunk_count": 12,
    "page_count": 5,
    "sha256": HASH,
    "created_at": TIME,
    "updated_at": TIME,
}
_SPAN = {
    "source_id": SOURCE,
    "source": "caffeine.pdf",
    "version_id": VERSION,
    "version": 1,
    "chunk_id": CHUNK,
    "start": 1200,
    "end": 1200 + len(QUOTE),
    "location": _LOCATION,
}
_CITATION = {"marker": 1, "status": "verified", **_SPAN, "quote": QUOTE, "answer_start": 0, "answer_end": 59}
_ANSWER = {
    "id": ANSWER,
    "notebook_id": NOTEBOOK,
    "question": "What does caffeine do to the body clock?",
    "answered": True,
    "text": QUOTE + " [1]",
    "citations": {"items": [_CITATION]},
    "provenance": {"model": "extractive"},
    "created_at": TIME,
}
_CHAT = {
    "id": CHAT,
    "notebook_id": NOTEBOOK,
    "title": "Caffeine",
    "message_count": 2,
    "created_at": TIME,
    "updated_at": TIME,
}
_MESSAGE = {
    "id": MESSAGE,
    "chat_id": CHAT,
    "role": "assistant",
    "text": QUOTE + " [1]",
    "question": "What does caffeine do to the body clock?",
    "answer": _ANSWER,
    "created_at": TIME,
}
_NOTE = {"id": NOTE, "notebook_id": NOTEBOOK, "title": "Keep", "text": QUOTE, "created_at": TIME, "updated_at": TIME}
_JOB = {
    "id": JOB,
    "kind": "ingest",
    "subject_id": SOURCE,
    "subject": "caffeine.pdf",
    "status": "running",
    "done": 4,
    "total": 12,
    "created_at": TIME,
    "updated_at": TIME,
}
_REPORT = {
    "id": REPORT,
    "notebook_id": NOTEBOOK,
    "template": "brief",
    "parameters": {"questions": ["What does caffeine do to the body clock?"]},
    "status": "ready",
    "created_at": TIME,
    "updated_at": TIME,
    "html": "<!DOCTYPE html>…",
}
_USER = {"id": USER, "name": "ada", "created_at": TIME}
_TOKEN = {"id": TOKEN, "name": "nightly report", "scopes": ["read"], "created_at": TIME}

RECORDS: dict[type[records.Record], dict[str, Any]] = {
    records.Notebook: _NOTEBOOK,
    records.Member: {"name": "grace", "role": "viewer", "created_at": TIME},
    records.Source: _SOURCE,
    records.SourcePage: {
        "source_id": SOURCE,
        "version_id": VERSION,
        "page": 3,
        "pages": 5,
        "width": 900,
        "height": 1273,
        "image": "UklGRg==",
    },
    records.SourceText: {
        "source_id": SOURCE,
        "version_id": VERSION,
        "version": 1,
        "name": "caffeine.pdf",
        "sha256": HASH,
        "text": QUOTE,
    },
    records.Hits: {
        "query": "caffeine body clock",
        "arm": "hybrid",
        "items": [{"rank": 1, "score": 1.0, **_SPAN, "text": QUOTE, "highlights": [[0, 8]], "dense_rank": 1}],
        "searched_chunks": 12,
    },
    records.Answer: _ANSWER,
    records.Recheck: {
        "answer_id": ANSWER,
        "items": [{"marker": 1, "source": "caffeine.pdf", "holds": True, "current": True, "quote": QUOTE}],
    },
    records.Chat: _CHAT,
    records.Message: _MESSAGE,
    records.MessageDelta: {"message_id": MESSAGE, "start": 0, "text": "Caffeine delays"},
    records.AnswerDelta: {"text": "Caffeine delays"},
    records.Note: _NOTE,
    records.Job: _JOB,
    records.Report: _REPORT,
    records.ReportTemplate: {
        "name": "brief",
        "about": "Questions, cited answers, every quote checked again.",
        "parameters": {"title": "Research brief", "questions": ["What are the main findings?"]},
    },
    records.User: _USER,
    records.Tokens: {"access_token": "eyJhbGciOi…", "refresh_token": "rt_…", "expires_in": 900},
    records.ApiToken: _TOKEN,
    records.NewApiToken: {"token": _TOKEN, "secret": "sbf_…"},
    records.Invitation: {"secret": "inv_…", "role": "member", "expires_at": TIME},
    records.Health: {"ok": True, "version": "0.1.0", "checks": {"database": "ready"}},
    records.ModelList: {"items": [{"id": "extractive", "kind": "language", "default": True}]},
    records.UsageReport: {
        "by": "model",
        "items": [
            {"key": "openai:gpt-4o-mini", "calls": 3, "input_tokens": 5200, "output_tokens": 410, "cost_usd": 0.001}
        ],
    },
}
"""Lists are made of these."""

REQUESTS: dict[type[op.Operation], dict[str, Any]] = {
    op.CreateNotebook: {"name": "Sleep", "description": "What keeps us awake"},
    op.UpdateNotebook: {"name": "Sleep and caffeine"},
    op.ShareNotebook: {"role": "viewer"},
    op.AddSource: {"name": "post", "origin": "https://example.org/post", "url": "https://example.org/post"},
    op.WatchSources: {"source_ids": [SOURCE]},
    op.CancelSources: {"source_ids": [SOURCE]},
    op.RetrySource: {},
    op.UpdateSource: {"name": "Caffeine and the clock", "tags": ["sleep"]},
    op.Search: {"query": "caffeine body clock", "notebook_ids": [NOTEBOOK], "limit": 5},
    op.Ask: {"question": "What does caffeine do to the body clock?", "notebook_ids": [NOTEBOOK]},
    op.CreateChat: {"title": "Caffeine"},
    op.UpdateChat: {"title": "Caffeine at night"},
    op.SendMessage: {"text": "What does caffeine do to the body clock?"},
    op.CreateNote: {"title": "Keep", "text": QUOTE},
    op.UpdateNote: {"title": "Keep this"},
    op.WatchJobs: {"job_ids": [JOB]},
    op.RunReport: {
        "notebook_id": NOTEBOOK,
        "template": "brief",
        "parameters": {"questions": ["What does caffeine do to the body clock?"]},
    },
    op.SignIn: {"name": "ada", "password": "correct horse battery"},
    op.RefreshTokens: {"refresh_token": "rt_…"},
    op.SignOut: {"refresh_token": "rt_…"},
    op.AcceptInvitation: {"invitation": "inv_…", "name": "ada", "password": "correct horse battery"},
    op.ChangePassword: {"password": "correct horse battery", "new_password": "staple horse correct"},
    op.CreateApiToken: {"name": "nightly report", "scopes": ["read"]},
    op.CreateUser: {"name": "ada", "password": "correct horse battery"},
    op.InviteUser: {"role": "member"},
    op.UpdateUser: {"status": "suspended"},
}
"""The bodies of those operations that have one."""


def request(kind: type[op.Operation]) -> dict[str, Any]:
    """Return an example body."""
    if kind not in REQUESTS:
        raise KeyError(f"{kind.__name__} has a body: give it an example")
    return REQUESTS[kind]


def result(kind: type[op.Operation]) -> dict[str, Any]:
    """Return an example result."""
    return record(kind.result)


def record(kind: type[records.Record]) -> dict[str, Any]:
    """Return an example of a record, or of a page of records."""
    if kind in RECORDS:
        return _whole(kind, RECORDS[kind])
    item = kind.model_fields["items"].annotation.__args__[0]  # type: ignore[union-attr]
    return _whole(kind, {"items": [RECORDS[item]], "total": 1, "limit": 20, "offset": 0})


def _whole(kind: type[records.Record], fields: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = kind.model_validate_json(json.dumps(fields)).model_dump(mode="json")
    return whole


def stream(kind: type[op.Operation]) -> str:
    """Return an example of a stream's events."""
    delta: dict[Any, type[records.Record]] = {
        op.Ask: records.AnswerDelta,
        op.SendMessage: records.MessageDelta,
        op.FollowMessage: records.MessageDelta,
    }
    kinds: list[type[records.Record]] = [one for one in (delta.get(kind), kind.result) if one is not None]
    told = [f"event: {one.__name__}\ndata: {json.dumps(record(one), ensure_ascii=False)}\n\n" for one in kinds]
    return "".join([*told, "event: end\ndata: {}\n\n"])


def problem(kind: type[SbfError]) -> dict[str, Any]:
    """Return an example of an error."""
    return {
        "type": "about:blank",
        "title": kind.__name__,
        "status": kind.status,
        "detail": (kind.__doc__ or "").strip().partition("\n")[0].rstrip("."),
        "code": kind.code,
        "hint": kind.default_hint,
        "details": {},
        "instance": "0192f7a0c1d24e5f",
    }
