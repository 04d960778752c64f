"""The templates: which there are, and what each may be told."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.records import ReportTemplate, ReportTemplateList

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALLED = Path(__file__).parent.parent / "report_templates"
_CHECKOUT = Path(__file__).parent.parent.parent / "notebooks" / "reports"

SCOPE = "notebook"
"""The parameter that names the research notebook; every template of ours has it."""


def _own() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """Return the names of the templates that SBF brings."""
    return sorted(path.stem for path in _own().glob("*.ipynb"))


def find(template: str | Path) -> Path:
    """Return the path of a template, given its path or the name of one that SBF brings.

    Raises
    ------
    NotFound
        There is none.
    """
    given = Path(template).expanduser()
    if given.suffix == ".ipynb" and given.is_file():
        return given.absolute()
    return own(str(template), "give a .ipynb file or one of: ")


def own(name: str, hint: str = "there are: ") -> Path:
    """Return the path of a template that SBF brings.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    if name not in names():
        raise NotFound(f"there is no report template {name!r}", hint=hint + ", ".join(names()))
    return _own() / f"{name}.ipynb"


def describe() -> ReportTemplateList:
    """Return the templates that SBF brings, and their parameters with what these are when not given."""
    found = tuple(_described(own(name)) for name in names())
    return ReportTemplateList(items=found, total=len(found), limit=max(1, len(found)), offset=0)


def _described(path: Path) -> ReportTemplate:
    parameters = {name: value for name, value in defaults_of(path).items() if name != SCOPE}
    return ReportTemplate(name=path.stem, about=_read(path)["metadata"]["sbf"]["about"], parameters=parameters)


def parameters_of(template: str | Path) -> list[str]:
    """Return the names that the template's cell tagged ``parameters`` assigns."""
    return list(_assigned(find(template)))


def defaults_of(path: Path) -> dict[str, Any]:
    """Return the parameters of a template with their values when not given."""
    return {name: ast.literal_eval(value) for name, value in _assigned(path).items()}


def _assigned(path: Path) -> dict[str, ast.expr]:
    try:
        cells = _read(path)["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        assigned = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign | ast.AnnAssign)]
    except (ValueError, SyntaxError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path.name} is not a Jupyter notebook that can run: {error!r}", hint="open it in Jupyter"
        ) from error
    return {
        target.id: node.value
        for node in assigned
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and node.value is not None
    }


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def check_names(path: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that a template does not have."""
    known = _assigned(path)
    if unknown := sorted(set(parameters) - set(known)):
        raise InvalidInput(
            f"{path.name} has no parameter {', '.join(unknown)}", hint=f"it has: {', '.join(known) or 'none'}"
        )


def checked(template: str, parameters: Mapping[str, str | tuple[str, ...]]) -> dict[str, Any]:
    """Return parameters for a template that SBF brings, as it takes them: a single text also as a list of one.

    Raises
    ------
    NotFound
        No such template.
    InvalidInput
        No such parameter, or a list where one text is meant.
    """
    path = own(template)
    check_names(path, parameters)
    defaults = defaults_of(path)
    if SCOPE in parameters:
        raise InvalidInput(f"{SCOPE} is not given among the parameters", hint="notebook_id says which it is")
    return {name: _fitting(name, value, defaults[name]) for name, value in parameters.items()}


def _fitting(name: str, value: str | tuple[str, ...], default: Any) -> Any:
    if isinstance(default, list):
        return [value] if isinstance(value, str) else list(value)
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is one text, not {len(value)}", hint=f"for example {default!r}")
    return value
