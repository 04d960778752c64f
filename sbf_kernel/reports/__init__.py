"""Reports: a notebook with parameters, run from top to bottom, becomes an HTML page that needs no network.

A template is an ordinary Jupyter notebook with a cell tagged ``parameters``.
SBF brings some; any of your own works as well with :func:`run`. A service runs
those that SBF brings, and no others (:mod:`sbf_kernel.reports.making`).
"""

from sbf_kernel.reports.page import external_references, to_html
from sbf_kernel.reports.running import run
from sbf_kernel.reports.templates import describe, find, names, parameters_of

__all__ = ["describe", "external_references", "find", "names", "parameters_of", "run", "to_html"]
