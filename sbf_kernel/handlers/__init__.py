"""What the product can do: one table, operation → handler.

A handler takes the runtime, who asks, and the operation. ``CALLS`` return one
record, ``STREAMS`` yield several and own their transactions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.handlers import accounts, asking, chats, jobs, notebooks, notes, reports, service, sources
from sbf_kernel.records import Principal
from sbf_kernel.runtime import Runtime

CALLS: dict[type[op.Operation], Callable[[Runtime, Principal, Any], Awaitable[Any]]] = {
    op.CreateNotebook: notebooks.create_notebook,
    op.ListNotebooks: notebooks.list_notebooks,
    op.GetNotebook: notebooks.get_notebook,
    op.UpdateNotebook: notebooks.update_notebook,
    op.DeleteNotebook: notebooks.delete_notebook,
    op.ShareNotebook: notebooks.share_notebook,
    op.ListMembers: notebooks.list_members,
    op.UnshareNotebook: notebooks.unshare_notebook,
    op.AddSource: sources.add_source,
    op.CancelSources: sources.cancel_sources,
    op.RetrySource: sources.retry_source,
    op.ResumeSources: sources.resume_sources,
    op.ListSources: sources.list_sources,
    op.GetSource: sources.get_source,
    op.UpdateSource: sources.update_source,
    op.GetSourceText: sources.get_source_text,
    op.GetSourcePage: sources.get_source_page,
    op.LinkSource: sources.link_source,
    op.RemoveSource: sources.remove_source,
    op.DeleteSource: sources.delete_source,
    op.Search: asking.search_chunks,
    op.GetAnswer: asking.get_answer,
    op.ListAnswers: asking.list_answers,
    op.RecheckAnswer: asking.recheck_answer,
    op.CreateChat: chats.create_chat,
    op.ListChats: chats.list_chats,
    op.GetChat: chats.get_chat,
    op.UpdateChat: chats.update_chat,
    op.DeleteChat: chats.delete_chat,
    op.ListMessages: chats.list_messages,
    op.StopMessage: chats.stop_message,
    op.CreateNote: notes.create_note,
    op.ListNotes: notes.list_notes,
    op.GetNote: notes.get_note,
    op.UpdateNote: notes.update_note,
    op.DeleteNote: notes.delete_note,
    op.ListJobs: jobs.list_jobs,
    op.GetJob: jobs.get_job,
    op.CancelJob: jobs.cancel_job,
    op.RetryJob: jobs.retry_job,
    op.ListReportTemplates: reports.list_report_templates,
    op.RunReport: reports.run_report,
    op.ListReports: reports.list_reports,
    op.GetReport: reports.get_report,
    op.DeleteReport: reports.delete_report,
    op.SignIn: accounts.sign_in,
    op.RefreshTokens: accounts.refresh_tokens,
    op.SignOut: accounts.sign_out,
    op.AcceptInvitation: accounts.accept_invitation,
    op.GetMe: accounts.get_me,
    op.ChangePassword: accounts.change_password,
    op.CreateApiToken: accounts.create_api_token,
    op.ListApiTokens: accounts.list_api_tokens,
    op.RevokeApiToken: accounts.revoke_api_token,
    op.CreateUser: accounts.create_user,
    op.InviteUser: accounts.invite_user,
    op.ListUsers: accounts.list_users,
    op.GetUser: accounts.get_user,
    op.UpdateUser: accounts.update_user,
    op.DeleteUser: accounts.delete_user,
    op.GetHealth: service.get_health,
    op.ListModels: service.list_models,
    op.GetUsage: service.get_usage,
}

STREAMS: dict[type[op.Operation], Callable[[Runtime, Principal, Any], AsyncIterator[Any]]] = {
    op.WatchSources: sources.watch_sources,
    op.Ask: asking.ask,
    op.SendMessage: chats.send_message,
    op.FollowMessage: chats.follow_message,
    op.WatchJobs: jobs.watch_jobs,
}


def handler_of(operation: op.Operation) -> Callable[[Runtime, Principal, Any], Any]:
    """Return the handler of an operation.

    Raises
    ------
    InvalidInput
        There is none: a server older than its client, or a plain mistake.
    """
    table: dict[type[op.Operation], Any] = STREAMS if operation.streams else CALLS
    try:
        return table[type(operation)]  # type: ignore[no-any-return]
    except KeyError:
        raise InvalidInput(f"nothing handles {type(operation).__name__}", hint="update SBF") from None
