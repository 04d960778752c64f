"""The nouns that cross every border: frozen, JSON-able, the same locally and over HTTP.

Each record shows itself in a Jupyter notebook (``_repr_mimebundle_``) and is
one ``.df()`` away from pandas.
"""

from sbf_kernel.records.accounts import (
    ApiToken,
    ApiTokenList,
    Invitation,
    NewApiToken,
    Tokens,
    User,
    UserList,
    UserRole,
    UserStatus,
)
from sbf_kernel.records.answers import (
    Answer,
    AnswerDelta,
    AnswerList,
    Budget,
    Citation,
    Citations,
    CitationStatus,
    Hit,
    Hits,
    Location,
    Passage,
    Provenance,
    Recheck,
    RecheckedCitation,
    Usage,
)
from sbf_kernel.records.chats import Chat, ChatList, ContextLevel, Message, MessageDelta, MessageList, Note, NoteList
from sbf_kernel.records.jobs import Job, JobList, JobStatus
from sbf_kernel.records.notebooks import Member, MemberList, Notebook, NotebookList, Role
from sbf_kernel.records.principal import LOCAL, Guest, Principal, TokenScope
from sbf_kernel.records.record import Listing, Record, Records, to_frame
from sbf_kernel.records.reports import Report, ReportList, ReportStatus, ReportTemplate, ReportTemplateList
from sbf_kernel.records.service import Health, Model, ModelList, UsageReport, UsageSum
from sbf_kernel.records.sources import Source, SourceList, SourcePage, SourceStatus, SourceText

__all__ = [
    "LOCAL",
    "Answer",
    "AnswerDelta",
    "AnswerList",
    "ApiToken",
    "ApiTokenList",
    "Budget",
    "Chat",
    "ChatList",
    "Citation",
    "CitationStatus",
    "Citations",
    "ContextLevel",
    "Guest",
    "Health",
    "Hit",
    "Hits",
    "Invitation",
    "Job",
    "JobList",
    "JobStatus",
    "Listing",
    "Location",
    "Member",
    "MemberList",
    "Message",
    "MessageDelta",
    "MessageList",
    "Model",
    "ModelList",
    "NewApiToken",
    "Note",
    "NoteList",
    "Notebook",
    "NotebookList",
    "Passage",
    "Principal",
    "Provenance",
    "Recheck",
    "RecheckedCitation",
    "Record",
    "Records",
    "Report",
    "ReportList",
    "ReportStatus",
    "ReportTemplate",
    "ReportTemplateList",
    "Role",
    "Source",
    "SourceList",
    "SourcePage",
    "SourceStatus",
    "SourceText",
    "TokenScope",
    "Tokens",
    "Usage",
    "UsageReport",
    "UsageSum",
    "User",
    "UserList",
    "UserRole",
    "UserStatus",
    "to_frame",
]
