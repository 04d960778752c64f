"""Notebooks, and who may use them."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator

from sbf_kernel import records
from sbf_kernel.operations.accounts import caseless
from sbf_kernel.operations.operation import Limit, Name, Offset, Operation, Text, Words

MemberName = Annotated[Name, BeforeValidator(caseless)]
"""The name of another user, in any spelling."""


class CreateNotebook(Operation):
    """Make a notebook. Names need not be unique."""

    method, path, result = "POST", "/notebooks", records.Notebook
    creates = True
    name: Name
    description: Text = ""


class ListNotebooks(Operation):
    """List notebooks; ``search`` matches part of name or description, ``shared`` lists what others share with you."""

    method, path, result = "GET", "/notebooks", records.NotebookList
    cached = True
    search: Words = ""
    shared: bool = False
    sort: Literal["updated", "created", "name"] = "updated"
    limit: Limit = 20
    offset: Offset = 0


class GetNotebook(Operation):
    """Return one notebook with its counts."""

    method, path, result = "GET", "/notebooks/{notebook_id}", records.Notebook
    access = "viewer"
    cached = True
    notebook_id: UUID


class UpdateNotebook(Operation):
    """Rename or describe a notebook; what is absent stays."""

    method, path, result = "PATCH", "/notebooks/{notebook_id}", records.Notebook
    access = "editor"
    notebook_id: UUID
    name: Name | None = None
    description: Text | None = None


class DeleteNotebook(Operation):
    """Delete a notebook. Its sources stay until they are deleted themselves."""

    method, path, result = "DELETE", "/notebooks/{notebook_id}", None
    notebook_id: UUID


class ShareNotebook(Operation):
    """Let another user read (``viewer``) or also change (``editor``) a notebook; again changes the role."""

    method, path, result = "PUT", "/notebooks/{notebook_id}/members/{member}", records.Member
    notebook_id: UUID
    member: MemberName
    role: Literal["viewer", "editor"] = "viewer"


class ListMembers(Operation):
    """List who may use a notebook."""

    method, path, result = "GET", "/notebooks/{notebook_id}/members", records.MemberList
    notebook_id: UUID
    search: Words = ""
    limit: Limit = 20
    offset: Offset = 0


class UnshareNotebook(Operation):
    """Take a user's access to a notebook away, at once."""

    method, path, result = "DELETE", "/notebooks/{notebook_id}/members/{member}", None
    notebook_id: UUID
    member: MemberName
