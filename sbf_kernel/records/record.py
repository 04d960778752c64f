"""What every record has: immutable, shown in a Jupyter notebook, one ``.df()`` away from pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pydantic import BaseModel, ConfigDict

from sbf_kernel import display

if TYPE_CHECKING:
    import pandas as pd


class Record(BaseModel):
    """Base of all records: immutable, no infinities, unknown fields of newer servers ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=())

    def _view(self) -> display.View:
        return display.fields(type(self).__name__, self.model_dump())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self._view().mimebundle()

    def __repr__(self) -> str:
        return self._view().text()

    __str__ = __repr__


Item = TypeVar("Item", bound=Record)


class Records(Record, Sequence[Item], Generic[Item]):
    """Several records of a kind; behaves as a sequence."""

    items: tuple[Item, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:  # type: ignore[override]
        return iter(self.items)

    def df(self) -> pd.DataFrame:
        """Return one row per record."""
        return to_frame(item.model_dump() for item in self.items)


class Listing(Records[Item], Generic[Item]):
    """A page of records that knows the ``total``."""

    total: int
    limit: int
    offset: int


def to_frame(rows: Any) -> pd.DataFrame:
    """Return a DataFrame of ``rows`` (mappings); needs pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        from sbf_kernel.errors import MissingExtra

        raise MissingExtra("pandas is not installed", hint="pip install pandas") from error
    return pd.DataFrame(list(rows))
