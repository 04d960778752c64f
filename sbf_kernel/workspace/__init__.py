"""What users hold: a workspace and its notebooks. Builds operations, holds no logic."""

from sbf_kernel.workspace.notebooks import NotebookHandle, Notebooks
from sbf_kernel.workspace.sources import Sources
from sbf_kernel.workspace.workspace import Workspace

__all__ = ["NotebookHandle", "Notebooks", "Sources", "Workspace"]
