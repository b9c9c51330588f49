"""`./scripts/manage bucket`: a bucket gets what it needs, once; the operator's own rules stay."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from infra.aws.stack import document
from infra.paths import ROOT
from infra.tencent import bucket_rules, manage
from infra.tencent.cos_emulator import APPID, CosEmulator
from shared.buckets.base import BucketUnavailable
from shared.buckets.cos import CosBucket

THEIRS = {
    "ID": "logs",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": "90"},
}
PAGES = {
    "ID": "shop",
    "AllowedOrigin": ["https://shop.example"],
    "AllowedMethod": ["POST"],
    "MaxAgeSeconds": "5",
}


@pytest.fixture
def bucket(cos: CosEmulator) -> manage.Bucket:
    return manage.Bucket(f"manage-{uuid4().hex}-{APPID}")


def set_up(bucket: manage.Bucket, *, acl: str = "private", plan: bool = False) -> list[str]:
    """What it says, line by line."""
    said: list[str] = []
    number = manage.set_up(bucket, acl, "AES256", plan=plan, say=said.append)
    assert number == len(said)
    return [line.strip() for line in said]


def state(bucket: manage.Bucket) -> dict[str, Any]:
    told = ("get_bucket_acl", "get_bucket_cors", "get_bucket_encryption", "get_bucket_lifecycle")
    return {operation: bucket.ask(operation) for operation in told}


def test_a_bucket_is_made_and_set_up_once_and_is_ready_then(bucket: manage.Bucket) -> None:
    planned = set_up(bucket, plan=True)
    assert planned[0] == "+ the bucket, private"
    assert not bucket.exists(), "a plan changes nothing"
    assert set_up(bucket) == planned
    CosBucket(bucket.name).check()
    before = state(bucket)
    assert set_up(bucket) == set_up(bucket, plan=True) == []
    assert state(bucket) == before
    assert "'AES256'" in str(before["get_bucket_encryption"])


def test_the_operators_rules_stay_and_ours_are_put_right(bucket: manage.Bucket) -> None:
    set_up(bucket)
    old = {**bucket_rules.LIFECYCLE[0], "Expiration": {"Days": 99}}
    gone = {**bucket_rules.LIFECYCLE[0], "ID": "maquette-of-an-older-version"}
    rules = {"Rule": [THEIRS, old, gone, *bucket_rules.LIFECYCLE[1:4]]}
    bucket.ask("put_bucket_lifecycle", LifecycleConfiguration=rules)
    bucket.ask("put_bucket_cors", CORSConfiguration={"CORSRule": [PAGES]})
    assert set_up(bucket) == [
        "~ cors: + maquette-links",
        "~ lifecycle: ~ maquette-incoming, + maquette-code, - maquette-of-an-older-version",
    ]
    found = bucket.ask("get_bucket_lifecycle")["Rule"]
    assert bucket_rules.plain(found[0]) == bucket_rules.plain(THEIRS)
    assert [bucket_rules.plain(one) for one in found[1:]] == [
        bucket_rules.plain(one) for one in bucket_rules.LIFECYCLE
    ]
    pages = bucket.ask("get_bucket_cors")["CORSRule"]
    assert [one["ID"] for one in pages] == ["shop", "maquette-links"]
    assert set_up(bucket) == []


def test_who_may_read_is_as_the_setting_says(bucket: manage.Bucket) -> None:
    set_up(bucket)
    assert set_up(bucket, acl="public-read") == ["~ who may read: public-read"]
    with pytest.raises(BucketUnavailable):
        CosBucket(bucket.name).check()
    assert set_up(bucket) == ["~ who may read: private"]
    CosBucket(bucket.name).check()


def test_the_rules_are_those_of_the_bucket_on_aws() -> None:
    template = document((ROOT / "template.yaml").read_text("utf-8"), {})
    properties = template["Resources"]["Bucket"]["Properties"]
    theirs = {
        rule["Id"]: in_cos_words(rule) for rule in properties["LifecycleConfiguration"]["Rules"]
    }
    ours = {rule["ID"].removeprefix("maquette-"): dict(rule) for rule in bucket_rules.LIFECYCLE}
    assert ours.pop("code")["Filter"] == {"Prefix": "code/"}, "of the deployment, on COS alone"
    assert ours == theirs
    (rule,) = properties["CorsConfiguration"]["CorsRules"]
    (cors,) = bucket_rules.CORS
    assert [*cors.values()][1:] == [
        rule["AllowedOrigins"],
        rule["AllowedMethods"],
        rule["AllowedHeaders"],
        rule["ExposedHeaders"],
        rule["MaxAge"],
    ]


def in_cos_words(rule: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in rule.items() if name not in ("Id", "Prefix")}
    if "ExpirationInDays" in found:
        found["Expiration"] = {"Days": found.pop("ExpirationInDays")}
    return {
        "ID": f"maquette-{rule['Id']}",
        "Filter": {"Prefix": rule.get("Prefix", "")},
        **found,
    }


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["manage", *arguments])
    monkeypatch.setattr(manage, "read_dotenv", lambda _: {})
    return manage.main()


def test_the_command_plans_does_and_has_nothing_left_to_do(
    bucket: manage.Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"cos://{bucket.name}"
    assert run(monkeypatch, "bucket", name, "--plan") == 0
    assert run(monkeypatch, "bucket", name) == 0
    monkeypatch.setenv("MAQUETTE_BUCKET_URL", name)
    assert run(monkeypatch, "bucket") == 0
    said = capsys.readouterr().out.split(f"{bucket.name}:\n")
    assert [part.strip().splitlines()[-1] for part in said[1:]] == [
        "  planned",
        "  done",
        "nothing to change",
    ]


@pytest.mark.parametrize(
    "name", ["", "models", "s3://models", "Models-1250000000", "a/b-1250000000"]
)
def test_what_is_no_bucket_is_refused_before_anything_is_asked(
    cos: CosEmulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = len(cos.requests())
    with pytest.raises(SystemExit) as left:
        run(monkeypatch, "bucket", name)
    assert left.value.code == 2
    assert len(cos.requests()) == before


def test_a_refusal_is_told_in_words(
    bucket: manage.Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "wrong")
    assert run(monkeypatch, "bucket", bucket.name) == 1
    assert "COS refuses head_bucket: 403" in capsys.readouterr().err
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "")
    assert run(monkeypatch, "bucket", bucket.name) == 1
    assert "TENCENTCLOUD_SECRETKEY is not set" in capsys.readouterr().err
