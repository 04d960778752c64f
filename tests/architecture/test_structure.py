"""The shape of the code: one handler and one path per operation, small files, SQL in one place, a light import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import sbf_kernel
from sbf_kernel import operations as op
from sbf_kernel.handlers import CALLS, STREAMS, handler_of

PACKAGE = Path(sbf_kernel.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "labextension" not in path.parts)
OPERATIONS = [
    kind
    for kind in vars(op).values()
    if isinstance(kind, type) and issubclass(kind, op.Operation) and hasattr(kind, "path")
]
MAX_FILE, MAX_FUNCTION = 500, 60
HEAVY = (
    "pydantic",
    "sqlalchemy",
    "psycopg",
    "alembic",
    "numpy",
    "onnxruntime",
    "pandas",
    "fastapi",
    "tokenizers",
    "lxml",
    "IPython",
    "asyncio",
)
_SQL = re.compile(
    r"\b(select\s+.+\s+from\s+\w|insert\s+into\s+\w+\s*(\(|select|values)|update\s+\w+\s+set\s+\w+\s*=|delete\s+from\s+\w+\s*(where|$)"
    r"|create\s+(table|index|role|schema|extension)\s|alter\s+table\s|drop\s+(table|index|role)\s)",
    re.IGNORECASE | re.DOTALL,
)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_operation_has_exactly_one_handler() -> None:
    assert set(CALLS) | set(STREAMS) == set(OPERATIONS)
    assert not set(CALLS) & set(STREAMS)
    assert set(STREAMS) == {kind for kind in OPERATIONS if kind.streams}
    used = Counter([*CALLS.values(), *STREAMS.values()])
    assert max(used.values()) == 1
    for kind in OPERATIONS:
        assert handler_of(kind.model_construct()) is {**CALLS, **STREAMS}[kind]


def test_paths_are_unique_per_method_and_take_their_parameters_from_the_fields() -> None:
    assert max(Counter((kind.method, kind.path) for kind in OPERATIONS).values()) == 1
    for kind in OPERATIONS:
        assert kind.method in {"GET", "POST", "PUT", "PATCH", "DELETE"}
        assert set(re.findall(r"{(\w+)}", kind.path)) <= set(kind.model_fields), kind
        assert kind.__doc__


def test_a_get_never_carries_what_a_query_string_cannot() -> None:
    for kind in OPERATIONS:
        if kind.method in ("GET", "DELETE"):
            assert not any(
                "tuple" in str(field.annotation) or "bytes" in str(field.annotation)
                for field in kind.model_fields.values()
            ), kind


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert _length(node) <= MAX_FUNCTION, f"{node.name} has {_length(node)} lines"


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    assert node.end_lineno is not None
    said = node.body[0] if ast.get_docstring(node) else None
    return node.end_lineno - node.lineno + 1 - (said.end_lineno - said.lineno + 1 if said and said.end_lineno else 0)


def _is_stub(node: ast.AST) -> bool:
    """Whether it describes somebody else's method: ``def iter(self): ...``."""
    body = getattr(node, "body", [])
    return len(body) == 1 and isinstance(body[0], ast.Expr) and getattr(body[0].value, "value", None) is ...


def _public(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            overload = any(getattr(d, "id", "") == "overload" for d in child.decorator_list)
            setter = any(getattr(d, "attr", "") == "setter" for d in child.decorator_list)
            if not overload and not setter:
                yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _public(child, prefix)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_and_public_name_says_what_it_is(path: Path) -> None:
    module = parsed(path)
    if module.body:
        assert ast.get_docstring(module)
    silent = [name for name, node in _public(module) if not ast.get_docstring(node) and not _is_stub(node)]  # type: ignore[arg-type]
    assert silent == []


def test_no_module_is_named_for_nothing() -> None:
    assert not {path.stem for path in MODULES} & {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "misc",
        "tools",
        "manager",
        "base",
    }


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent.name != "storage" and "storage" not in path.parts], ids=name_of
)
def test_only_storage_speaks_sql(path: Path) -> None:
    module = parsed(path)
    documents = {id(node.body[0].value) for node in ast.walk(module)
                 if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body
                 and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            assert not _SQL.search(node.value), f"line {node.lineno}: {node.value[:80]!r}"


def test_the_sql_check_finds_sql() -> None:
    for statement in (
        "select a from b",
        "SELECT *\nFROM t",
        "insert into t (a) values (1)",
        "update t set a = 1",
        "delete from t where a",
        "drop table t",
    ):
        assert _SQL.search(statement)
    for prose in (
        "select a notebook",
        "update the set of words",
        "delete it from the list",
        "insert into a notebook",
        "create a table",
    ):
        assert not _SQL.search(prose)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, sbf_kernel; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_exist_and_an_unknown_one_does_not() -> None:
    for name in sbf_kernel.__all__:
        assert getattr(sbf_kernel, name) is not None
    assert sbf_kernel.__version__
    assert set(dir(sbf_kernel)) == set(sbf_kernel.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sbf_kernel.nonsense


def test_no_module_prints_or_leaves_a_todo() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), name_of(path)


def test_handlers_take_runtime_principal_and_operation_and_return_the_result_named() -> None:
    import inspect

    for kind, handler in {**CALLS, **STREAMS}.items():
        signature = inspect.signature(handler)
        assert list(signature.parameters) == ["runtime", "principal", "o"], handler
        assert signature.parameters["o"].annotation == f"op.{kind.__name__}"
        if kind in CALLS:
            expected = "None" if kind.result is None else kind.result.__name__
            assert signature.return_annotation == expected, handler
