"""Settings: where they come from, what wins, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

import sbf_kernel as sbf
from sbf_kernel.errors import InvalidInput
from sbf_kernel.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SBF_STATIC", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_need_nothing() -> None:
    settings = Settings()
    assert settings.home.is_absolute()
    assert (settings.database_url, settings.model, settings.embedder) == (
        None,
        "extractive",
        "builtin:bge-small-en-v1.5",
    )
    assert settings.threads >= 1
    assert not settings.static


def test_arguments_beat_the_environment_which_beats_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBF_THREADS", "3")
    monkeypatch.setenv("SBF_STATIC", "1")
    assert (Settings().threads, Settings().static) == (3, True)
    assert Settings(threads=5).threads == 5


def test_a_home_is_absolute_whatever_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(home="here").home == tmp_path / "here"  # type: ignore[arg-type]
    assert Settings(home="~/there").home == tmp_path / "there"  # type: ignore[arg-type]
    monkeypatch.setenv("SBF_HOME", "~/data")
    settings = Settings()
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "data"


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBF_DATABASE_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("SBF_MODEL_API_KEY", "sk-hunter2")
    settings = Settings()
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.database_url is not None
    assert "hunter2" in settings.database_url.get_secret_value()


def test_secrets_may_lie_in_files(tmp_path: Path) -> None:
    (tmp_path / "sbf_model_api_key").write_text("from a file\n")
    settings = Settings(_secrets_dir=tmp_path)  # type: ignore[call-arg]
    assert settings.model_api_key is not None
    assert settings.model_api_key.get_secret_value() == "from a file"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().threads = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0),
        ("threads", "many"),
        ("max_source_mb", 0),
        ("read_memory_mb", 1),
        ("static", "perhaps"),
        ("home", 5),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"setting {name}"):
        sbf.connect(**({"home": tmp_path} | {name: value}))  # type: ignore[arg-type]


def test_an_unknown_setting_is_refused_and_the_known_ones_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown setting colour") as caught:
        sbf.connect(home=tmp_path, colour="red")
    assert "threads" in caught.value.hint


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://me:hunter2@host/db", "host=nowhere", "", "redis://x"])
def test_an_address_of_another_kind_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot connect to") as caught:
        sbf.connect(url, home=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "postgresql://" in caught.value.hint


def test_a_token_is_taken_as_it_is_copied_and_never_shown(tmp_path: Path) -> None:
    token = Settings(home=tmp_path, token="sbf_abc\n").token
    assert token is not None and token.get_secret_value() == "sbf_abc"
    for wrong in ("sbf_hunter2\nX-Admin: yes", "sbf_hunter2 x", "sbf_hunter2é"):
        with pytest.raises(InvalidInput, match="one word") as caught:
            sbf.connect("https://sbf.example", token=wrong, home=tmp_path)
        assert "hunter2" not in str(caught.value)
