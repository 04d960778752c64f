"""How records look: one escaped builder for HTML, Markdown and plain text.

Nothing here trusts its input: names, texts and errors come from untrusted
sources and are escaped on every path. The HTML carries no script and refers
to nothing outside itself, so it works in a saved notebook, in an exported
page and without a network; without its style sheet it is still readable.
"""

from sbf_kernel.display.answers import answer, citation, citations
from sbf_kernel.display.bibtex import bibtex
from sbf_kernel.display.charts import bars
from sbf_kernel.display.conversations import conversation
from sbf_kernel.display.escaping import View
from sbf_kernel.display.passages import hit, hits, window
from sbf_kernel.display.tables import Status, Verbatim, fields, quote, table

__all__ = [
    "Status",
    "Verbatim",
    "View",
    "answer",
    "bars",
    "bibtex",
    "citation",
    "citations",
    "conversation",
    "fields",
    "hit",
    "hits",
    "quote",
    "table",
    "window",
]
