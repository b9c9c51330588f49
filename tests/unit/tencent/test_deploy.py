"""The deployer: an account comes to hold what serverless.yml says, whatever interrupts it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.tencent.deploy import apply, cloud, run, secrets
from infra.tencent.deploy.errors import DeployError
from infra.tencent.emulator.errors import ApiError
from infra.tencent.service import parse
from shared.tencent.clients import TencentError
from tests.unit.tencent.accounts import (
    BUCKET,
    DOCUMENT,
    GIVEN,
    MIGRATE_STORE,
    READS,
    STORE,
    Account,
    packages,
    packed,
    service,
)

URL = "https://1250000000-abc.ap-guangzhou.tencentscf.com"
HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"


@pytest.fixture(autouse=True)
def _given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account], Account]:
    """Has the deployer call an account from now on."""

    def use(account: Account) -> Account:
        monkeypatch.setattr(cloud, "call", account.call)
        return account

    return use


@pytest.fixture
def account(use: Callable[[Account], Account]) -> Account:
    return use(Account())


def test_a_first_deployment_makes_all_there_is(account: Account, tmp_path: Path) -> None:
    of = service()
    assert account.deploy(of, packages(tmp_path, of)) == URL
    api, poll = account.function("api"), account.function("poll")
    assert (api.kind, api.timeout, api.memory, api.code) == ("HTTP", 30, 512, packed("api 1"))
    assert (poll.handler, poll.layers) == (
        "scf_entry.main_handler",
        (packed("layer-dependencies 1"),),
    )
    assert poll.environment == {
        "MAQUETTE_SECRETS_URL": "tencent-ssm:///maquette-dev",
        "MAQUETTE_PUBLIC_URL": URL,
    }
    assert api.environment == poll.environment
    assert [one.kind for one in poll.triggers.values()] == ["timer"]
    assert (poll.retries, poll.event_age) == (0, 60)
    assert set(account.function("postprocess").triggers) == {HOST}
    assert {name for _, name in account.scf.functions} == {
        f"maquette-dev-{key}" for key in ("api", "poll", "postprocess", "migrate")
    }


def test_what_stands_there_is_left_alone(account: Account, tmp_path: Path) -> None:
    of = service()
    zips = packages(tmp_path, of)
    account.deploy(of, zips)
    before = account.picture()
    account.calls.clear()
    assert account.deploy(of, zips) == URL
    # The tables alone are looked after each time: whether they are up to date is not seen here.
    assert account.writes == ["InvokeFunction"]
    assert account.picture() == before


def test_a_plan_changes_nothing(account: Account, tmp_path: Path) -> None:
    of = service()
    words = account.plan(of, packages(tmp_path, of))
    assert set(account.calls) <= READS
    assert [one.split(":")[0] for one in words[:4]] == [
        "secret maquette-dev",
        "secret maquette-dev-migrate",
        "layer maquette-dev-dependencies",
        "maquette-dev-migrate",
    ]


def test_the_tables_are_migrated_before_any_other_code_changes(
    account: Account, tmp_path: Path
) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    zips = packages(tmp_path, of, "2")
    account.calls.clear()
    account.said.clear()
    account.deploy(of, zips)
    told = "\n".join(account.said)
    assert told.index("migrate: bring new code") < told.index("bring the tables up to date")
    first = min(told.index(f"maquette-dev-{key}: ") for key in ("api", "poll", "postprocess"))
    assert told.index("bring the tables up to date") < first


@pytest.mark.parametrize(
    ("error", "answer", "words"),
    [
        ("no such module", None, "no such module"),
        (None, {"status": "failed", "message": "no rights"}, "no rights"),
        (None, {"errorMessage": "?"}, "it answered"),
        (None, "", "it answered"),
    ],
)
def test_nothing_else_changes_where_the_migration_fails(
    account: Account, tmp_path: Path, error: str | None, answer: Any, words: str
) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    zips = packages(tmp_path, of, "2")
    account.runner.error, account.runner.answer = error, answer
    with pytest.raises(DeployError, match=words):
        account.deploy(of, zips)
    assert account.function("migrate").code == packed("migrate 2")
    assert account.function("poll").code == packed("poll 1")
    account.runner.error, account.runner.answer = None, {"status": "unchanged"}
    account.deploy(of, zips)
    assert account.function("poll").code == packed("poll 2")


class Died(BaseException):
    """The deployer's process is gone."""


def refuse(number: int, action: str) -> None:
    raise ApiError("InternalError", "try again")


def lose(number: int, action: str) -> None:
    raise TencentError("scf", action, "ClientNetworkError", "the line was cut", "")


def die(number: int, action: str) -> None:
    raise Died()


def at(call: int, fault: Callable[[int, str], None]) -> Callable[[int, str], None]:
    def hear(number: int, action: str) -> None:
        if number == call:
            fault(number, action)

    return hear


def calls_of(account: Account, deploy: Callable[[Account], None]) -> int:
    deploy(account)
    return len(account.calls)


@pytest.mark.parametrize("begun", [False, True], ids=["made", "changed"])
@pytest.mark.parametrize(
    ("place", "fault"),
    [("before", refuse), ("after", lose), ("before", die), ("after", die)],
    ids=["refused", "lost", "died-before", "died-after"],
)
def test_a_call_that_fails_leaves_what_the_next_run_finishes(
    use: Callable[[Account], Account],
    tmp_path: Path,
    place: str,
    fault: Callable[[int, str], None],
    begun: bool,
) -> None:
    """At every single call, of a first deployment and of one that changes everything."""
    old, new = service(), service(changed)
    first, second = packages(tmp_path / "1", old), packages(tmp_path / "2", new, "2")

    def fresh() -> Account:
        account = use(Account())
        if begun:
            account.deploy(old, first)
            account.calls.clear()
        return account

    whole = fresh()
    whole.deploy(new, second)
    assert len(whole.writes) > 15
    for number in range(len(whole.calls)):
        account = fresh()
        setattr(account, place, at(number, fault))
        with pytest.raises((DeployError, TencentError, Died)):
            account.deploy(new, second)
        made = {name: account.secret(name) for name in account.ssm.secrets}
        account.deploy(new, second)
        assert account.picture() == whole.picture(), whole.calls[number]
        for name, values in made.items():
            assert account.secret(name).items() >= values.items()


def changed(functions: dict[str, Any]) -> None:
    """Everything that may change does."""
    functions["poll"]["timeout"] = 90
    functions["poll"]["environment"] = {"TRIPO_BASE_URL": "https://tripo.example"}
    functions["poll"]["events"] = [
        {"timer": {"name": "every-minute", "cronExpression": "30 * * * * * *"}},
        {"timer": {"name": "nightly", "cronExpression": "0 0 3 * * * *"}},
    ]
    functions["postprocess"]["events"][0]["cos"]["filter"] = {"prefix": "arrived/"}
    functions["postprocess"]["layers"] = ["dependencies"]
    functions["postprocess"]["retryNum"] = 1
    functions["api"]["events"] = [{"http": {"name": "other", "authType": "CAM"}}]


def test_what_a_function_had_can_be_taken_away(account: Account, tmp_path: Path) -> None:
    def rich(functions: dict[str, Any]) -> None:
        functions["api"]["instanceConcurrencyConfig"] = {"maxConcurrency": 5}
        functions["api"]["vpcConfig"] = {"vpcId": "vpc-1", "subnetId": "subnet-1"}
        functions["migrate"]["layers"] = ["dependencies"]

    of, more = service(), service(rich)
    account.deploy(more, packages(tmp_path, more))
    api = account.function("api")
    assert (api.concurrency, api.vpc) == (5, {"VpcId": "vpc-1", "SubnetId": "subnet-1"})
    account.deploy(of, packages(tmp_path, of))
    assert (api.concurrency, api.vpc, account.function("migrate").layers) == (1, {}, ())
    assert len(account.plan(of, packages(tmp_path, of))) == 1


def test_triggers_come_change_and_go(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    account.calls.clear()
    new = service(changed)
    assert account.deploy(new, packages(tmp_path, new)) == URL
    timers = account.function("poll").triggers
    assert {name: one.description for name, one in timers.items()} == {
        "every-minute": "30 * * * * * *",
        "nightly": "0 0 3 * * * *",
    }
    (created,) = account.function("postprocess").triggers.values()
    assert json.loads(created.description)["filter"]["Prefix"] == "arrived/"
    # A function URL that were made anew would be another one.
    (url,) = account.function("api").triggers.values()
    assert (url.name, json.loads(url.description)["AuthType"]) == ("url", "CAM")
    assert account.writes.count("DeleteTrigger") == 1
    account.deploy(of, packages(tmp_path, of))
    assert set(account.function("poll").triggers) == {"every-minute"}


def test_a_bucket_s_trigger_may_move_to_another_function(account: Account, tmp_path: Path) -> None:
    def moved(functions: dict[str, Any]) -> None:
        functions["poll"]["events"] += functions["postprocess"].pop("events")

    def doubled(functions: dict[str, Any]) -> None:
        more = {"cos": {"bucket": BUCKET, "filter": {"prefix": "uploads/"}}}
        functions["postprocess"]["events"].append(more)

    of = service()
    account.deploy(of, packages(tmp_path, of))
    for other, woken in ((moved, "poll"), (None, "postprocess"), (doubled, "postprocess")):
        new = service(other)
        account.deploy(new, packages(tmp_path, new))
        assert HOST in account.function(woken).triggers
    prefixes = {
        json.loads(one.description)["filter"]["Prefix"]
        for one in account.function("postprocess").triggers.values()
    }
    assert prefixes == {"incoming/", "uploads/"}
    account.deploy(of, packages(tmp_path, of))
    assert len(account.function("postprocess").triggers) == 1


def test_a_function_url_that_is_told_late_is_told_to_all(account: Account, tmp_path: Path) -> None:
    account.runner.url = ""
    of = service()
    zips = packages(tmp_path, of)
    with pytest.raises(DeployError, match="function URL of maquette-dev-api is not told"):
        account.deploy(of, zips)
    account.function("api").url = URL
    assert account.deploy(of, zips) == URL
    for key in ("api", "poll", "postprocess"):
        assert account.function(key).environment["MAQUETTE_PUBLIC_URL"] == URL


def test_a_function_that_could_not_be_made_says_why_and_is_made_anew(
    account: Account, tmp_path: Path
) -> None:
    of = service()
    zips = packages(tmp_path, of)
    account.scf.fail_next("maquette-dev-poll", "the role is not there")
    with pytest.raises(
        DeployError, match=r"poll is CreateFailed: the role is not there; .*goes on"
    ):
        account.deploy(of, zips)
    assert account.plan(of, zips)[1] == "maquette-dev-poll: remove it, the role is not there"
    account.deploy(of, zips)
    assert account.function("poll").status == "Active"


def test_an_update_that_failed_is_made_again(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    new = service(lambda functions: functions["poll"].update(timeout=60))
    account.scf.fail_next("maquette-dev-poll", "no subnet")
    with pytest.raises(DeployError, match="poll is UpdateFailed: no subnet"):
        account.deploy(new, packages(tmp_path, new))
    account.deploy(new, packages(tmp_path, new))
    assert account.function("poll").status == "Active"
    assert account.plan(new, packages(tmp_path, new)) == [
        "maquette-dev-migrate: bring the tables up to date"
    ]


def test_a_function_that_is_still_being_made_is_waited_for(
    account: Account, tmp_path: Path
) -> None:
    of = service()
    zips = packages(tmp_path, of)
    account.after = at(6, die)
    with pytest.raises(Died):
        account.deploy(of, zips)
    account.deploy(of, zips)
    assert account.writes.count("CreateFunction") == 4


def test_what_a_function_can_never_become_is_refused(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    new = service(lambda functions: functions["poll"].update(runtime="Python3.9"))
    before = account.picture()
    with pytest.raises(DeployError, match=r"Python3\.10, and can never become .*Python3\.9"):
        account.deploy(new, packages(tmp_path, new))
    assert account.picture() == before


def test_a_large_zip_goes_through_the_bucket_and_leaves_nothing_there(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = service()
    zips = packages(tmp_path, of)
    monkeypatch.setattr(apply, "DIRECT_BYTES", 10)
    account.deploy(of, zips)
    assert len(set(account.shelf.laid)) == 5
    assert account.shelf.objects == {}
    assert account.function("poll").code == packed("poll 1")


def test_secrets_are_made_once_and_never_said(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    held = account.secret()
    assert set(held) == {
        "MAQUETTE_API_KEYS",
        "MAQUETTE_LINK_SECRET",
        "MAQUETTE_STORE_URL",
        "MAQUETTE_WEBHOOK_SECRETS",
    }
    assert held["MAQUETTE_STORE_URL"] == STORE
    assert account.secret("maquette-dev-migrate") == {"MAQUETTE_STORE_URL": MIGRATE_STORE}
    said = "\n".join(account.said)
    assert not any(value in said for value in (*held.values(), MIGRATE_STORE))


def test_what_a_secret_holds_stays_and_what_it_lacks_comes(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAQUETTE_STORE_URL", "mysql://another@db/maquette")
    text = json.dumps({"MAQUETTE_STORE_URL": STORE, "TRIPO_API_KEY": "tsk_1"})
    account.ssm.answer("CreateSecret", {"SecretName": "maquette-dev", "SecretString": text})
    of = service()
    account.deploy(of, packages(tmp_path, of))
    held = account.secret()
    assert (held["MAQUETTE_STORE_URL"], held["TRIPO_API_KEY"]) == (STORE, "tsk_1")
    assert held["MAQUETTE_API_KEYS"].startswith("first:")


def test_a_database_that_nobody_named_is_asked_for_before_anything_is_done(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = service()
    for name in GIVEN:
        monkeypatch.setenv(name, "")
        with pytest.raises(DeployError, match=f"into {name} of"):
            account.deploy(of, packages(tmp_path, of))
        monkeypatch.setenv(name, "mysql://u:p@db/m")
    assert account.writes == []


def test_a_database_s_url_is_renewed_where_that_is_said(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = service()
    zips = packages(tmp_path, of)
    account.deploy(of, zips)
    before = account.secret()
    monkeypatch.setenv("MAQUETTE_STORE_URL", "mysql://app:new@db/maquette")
    monkeypatch.delenv("MAQUETTE_MIGRATE_STORE_URL")
    state, steps = run.planned(of, zips, account.cloud, renew=True)
    assert [step.words for step in steps if step.verb == "secret"] == [
        "secret maquette-dev: make MAQUETTE_STORE_URL"
    ]
    run.deploy(of, zips, state, steps, account.cloud, account.shelf, say=account.said.append)
    assert account.secret() == {**before, "MAQUETTE_STORE_URL": "mysql://app:new@db/maquette"}
    assert run.planned(of, zips, account.cloud, renew=True)[1][0].verb == "migrate"


@pytest.mark.parametrize(
    "url",
    ["db/maquette", "postgres://u:secret@h/d", "mysql://h/d", "mysql://u:secret@h", "x://[::"],
)
def test_what_is_no_database_s_url_is_kept_out_of_the_secret(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MAQUETTE_STORE_URL", url)
    of = service()
    with pytest.raises(DeployError, match="MAQUETTE_STORE_URL is not of the form") as error:
        account.deploy(of, packages(tmp_path, of))
    assert "secret@" not in str(error.value)
    assert account.writes == []


def test_a_secret_that_is_no_object_is_not_written_over(account: Account, tmp_path: Path) -> None:
    account.ssm.answer("CreateSecret", {"SecretName": "maquette-dev", "SecretString": "hello"})
    of = service()
    with pytest.raises(DeployError, match="no JSON object") as error:
        account.deploy(of, packages(tmp_path, of))
    assert "hello" not in str(error.value)


def test_no_provider_is_told(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    assert secrets.without_provider(secrets.look(of, account.cloud), of) == "maquette-dev"
    text = json.dumps({**account.secret(), "TRIPO_API_KEY": "tsk_1"})
    given = {"SecretName": "maquette-dev", "VersionId": "SSM_Current", "SecretString": text}
    account.ssm.answer("UpdateSecret", given)
    assert secrets.without_provider(secrets.look(of, account.cloud), of) == ""


def test_a_layer_s_last_version_but_one_is_kept(account: Account, tmp_path: Path) -> None:
    of = service()
    for version in ("1", "2", "3", "4"):
        account.deploy(of, packages(tmp_path, of, version))
    assert [number for _, number in account.scf.layers.versions] == [3, 4]
    assert account.function("poll").layer_versions == (("maquette-dev-dependencies", 4),)
    # Going back publishes nothing anew.
    account.deploy(of, packages(tmp_path, of, "3"))
    assert account.function("poll").layer_versions == (("maquette-dev-dependencies", 3),)


def test_an_address_of_one_s_own_is_kept(account: Account, tmp_path: Path) -> None:
    def own(functions: dict[str, Any]) -> None:
        for name in ("api", "poll", "postprocess"):
            functions[name]["environment"] = {"MAQUETTE_PUBLIC_URL": "https://api.example.com"}

    of = service(own)
    assert account.deploy(of, packages(tmp_path, of)) == "https://api.example.com"
    assert account.function("poll").environment["MAQUETTE_PUBLIC_URL"] == "https://api.example.com"


def test_an_image_is_deployed_where_one_is_named(account: Account, tmp_path: Path) -> None:
    def named(functions: dict[str, Any]) -> None:
        functions["qwen-image"]["image"]["imageUri"] = "ccr.ccs.tencentyun.com/a/b:1@sha256:00"

    of = service(named)
    account.deploy(of, packages(tmp_path, of))
    made = account.function("qwen-image")
    assert made.more["ImageConfig"] == {
        "ImageType": "personal",
        "ImageUri": "ccr.ccs.tencentyun.com/a/b:1@sha256:00",
    }
    assert made.more["NodeType"] == "GPU"
    assert account.plan(of, packages(tmp_path, of)) == [
        "maquette-dev-migrate: bring the tables up to date"
    ]


def test_a_write_that_came_too_soon_is_sent_again(account: Account, tmp_path: Path) -> None:
    refused = []

    def limit(number: int, action: str) -> None:
        if action not in READS and action not in refused:
            refused.append(action)
            raise ApiError("RequestLimitExceeded", "slow down")

    account.before = limit
    of = service()
    # An invocation is no write that may be sent twice without a word.
    with pytest.raises(DeployError, match="RequestLimitExceeded"):
        account.deploy(of, packages(tmp_path, of))
    account.deploy(of, packages(tmp_path, of))
    assert "CreateTrigger" in refused


def test_what_is_removed_is_gone_and_removing_it_again_is_no_fault(
    account: Account, tmp_path: Path
) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    run.remove(of, account.cloud, say=account.said.append)
    assert account.scf.functions == {}
    assert account.scf.layers.versions == {}
    assert set(account.ssm.secrets) == {"maquette-dev", "maquette-dev-migrate"}
    account.calls.clear()
    run.remove(of, account.cloud, say=account.said.append)
    assert account.writes == []
    account.deploy(of, packages(tmp_path, of))


def test_what_serverless_yml_no_longer_has_is_removed_and_nobody_else_s(
    account: Account, tmp_path: Path
) -> None:
    more = service(lambda functions: functions.update(older=dict(functions["poll"])))
    account.deploy(more, packages(tmp_path, more))
    document = copy.deepcopy(DOCUMENT)
    del document["functions"]["postprocess"]  # one bucket's objects wake one function
    other = parse(document, "dev-older")
    account.deploy(other, packages(tmp_path, other))
    tools = replace(account.function("poll"), name="maquette-dev-tools", more={})
    account.scf.functions["default", tools.name] = tools
    of = service()
    before = set(account.scf.functions)
    account.deploy(of, packages(tmp_path, of))
    assert before - set(account.scf.functions) == {("default", "maquette-dev-older")}


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    of = service()
    packages(tmp_path, of)
    (tmp_path / "poll.zip").unlink()
    with pytest.raises(DeployError, match=r"has no poll\.zip"):
        packages_again(tmp_path)


def packages_again(folder: Path) -> None:
    from infra.tencent.deploy.packages import find

    find(folder, service())


def test_a_variable_s_value_is_never_in_a_plan(account: Account, tmp_path: Path) -> None:
    of = service()
    account.deploy(of, packages(tmp_path, of))
    new = service(lambda functions: functions["poll"].update(environment={"X": "a-value"}))
    words = account.plan(new, packages(tmp_path, new))
    assert words[1:] == ["maquette-dev-poll: change environment (X)"]
    assert replace(new.functions["poll"]).environment["X"] == "a-value"
