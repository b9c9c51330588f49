"""A zip that is too large for a request lies in the files' bucket for a moment, in COS itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.tencent.cos_emulator import APPID, CosEmulator
from infra.tencent.deploy import apply, cloud
from infra.tencent.deploy.errors import DeployError
from infra.tencent.deploy.shelf import CosShelf, bucket_of
from infra.tencent.emulator.scf import Scf
from infra.tencent.service import read
from shared.buckets.cos import CosBucket
from shared.tencent import cos as calls
from tests.unit.tencent.accounts import GIVEN, Account, packages, packed, service

BUCKET = f"shelf-{APPID}"


def test_scf_fetches_it_from_there_and_it_is_taken_away(
    cos: CosEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(bucket: str, key: str) -> bytes:
        with CosBucket(bucket).open(key) as body:
            return body.read()

    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    calls.client(BUCKET, seconds=10).create_bucket(BUCKET)
    account = Account()
    account.scf = Scf(account.runner, objects=fetched)
    account.shelf = CosShelf(BUCKET)  # type: ignore[assignment]
    monkeypatch.setattr(cloud, "call", account.call)
    monkeypatch.setattr(apply, "DIRECT_BYTES", 10)
    of = service()
    account.deploy(of, packages(tmp_path, of))
    assert account.function("poll").code == packed("poll 1")
    assert CosBucket(BUCKET).keys("") == ()


def test_a_bucket_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.zip"
    path.write_bytes(packed("x"))
    with pytest.raises(DeployError, match=r"api\.zip is too large .* --artifacts"):
        CosShelf("").put("code/1.zip", path)
    for name in ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRET_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeployError, match=f"api.zip could not be laid into {BUCKET}"):
        CosShelf(BUCKET).put("code/1.zip", path)


def test_the_files_own_bucket_is_the_one() -> None:
    assert bucket_of(read("dev", environ={"TENCENT_BUCKET": "files-1250000000"})) == (
        "files-1250000000"
    )
