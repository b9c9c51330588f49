"""What a machine keeps for itself: its secrets, and the settings that nobody gave.

测试本机的数据目录与默认设置。
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.cloud.beside import SNAPPY
from infra.local.cloud.home import Home, open_home
from shared.config import SettingsError

STANDIN = {**SNAPPY, "TRIPO_API_KEY": "tsk_standin", "TRIPO_BASE_URL": "http://127.0.0.1:1"}


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = Home(tmp_path, {}).settings(STANDIN)
    assert settings.store_url == f"sqlite:///{tmp_path}/maquette.db"
    assert settings.bucket_url == f"file://{tmp_path}/bucket"
    assert settings.by_variable()["TRIPO_BASE_URL"] == "http://127.0.0.1:1"
    assert settings.poll_first_seconds == 0.5


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, {})
    with ThreadPoolExecutor(8) as pool:
        links = set(pool.map(lambda _: str(home.complete({})["MAQUETTE_LINK_SECRET"]), range(40)))
    assert len(links) == 1
    assert home.secrets_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_the_environment_goes_before_what_is_made(tmp_path: Path) -> None:
    given = {
        "MAQUETTE_POLL_FIRST_SECONDS": "7",
        "MAQUETTE_LINK_SECRET": "x" * 32,
        "TRIPO_API_KEY": "tsk_real",
    }
    home = Home(tmp_path, given)
    settings = home.settings(SNAPPY)
    assert not home.needs_standin
    assert settings.poll_first_seconds == 7
    assert settings.link_secret[0].get_secret_value() == "x" * 32
    assert settings.by_variable()["TRIPO_BASE_URL"] == "https://openapi.tripo3d.ai"


def test_without_a_key_nobody_asks_the_real_tripo(tmp_path: Path) -> None:
    given = {"TRIPO_BASE_URL": "https://openapi.tripo3d.ai", "TRIPO_API_KEY": " "}
    home = Home(tmp_path, given)
    assert home.needs_standin
    assert home.settings(STANDIN).by_variable()["TRIPO_BASE_URL"] == "http://127.0.0.1:1"


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MAQUETTE_JITTER"):
        Home(tmp_path, {"MAQUETTE_JITTER": "7"}).settings(STANDIN)


def test_the_state_folder_is_made_where_it_is_said_once_something_goes_into_it(
    tmp_path: Path,
) -> None:
    home = open_home({"MAQUETTE_HOME": str(tmp_path / "a" / "b")})
    assert home.folder == tmp_path / "a" / "b"
    home.check(STANDIN)
    # Looking at the settings makes nothing.
    assert list(tmp_path.iterdir()) == []
    home.settings(STANDIN)
    assert home.secrets_file.is_file()


def test_off_is_no_picture_service_and_none_is_to_be_started(tmp_path: Path) -> None:
    plain = open_home({"MAQUETTE_HOME": str(tmp_path), "QWEN_IMAGE_BASE_URL": ""})
    off = open_home({"MAQUETTE_HOME": str(tmp_path), "QWEN_IMAGE_BASE_URL": "off"})
    assert (plain.has_qwen_image, off.has_qwen_image) == (False, True)
    assert off.settings({}).by_variable()["QWEN_IMAGE_BASE_URL"] == ""
