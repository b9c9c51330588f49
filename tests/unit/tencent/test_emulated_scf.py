"""The emulated SCF's control plane behaves like the one that it stands for, called by the SDK."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import pytest

from infra.tencent.emulator.deployed import Deployed, Outcome
from infra.tencent.emulator.errors import Dropped
from infra.tencent.emulator.scf import Scf
from infra.tencent.emulator.server import CloudApi
from shared.tencent.clients import TencentError, call, forget

CRON = "0 * * * * * *"
BUCKET = "maquette-1250000000.cos.ap-guangzhou.myqcloud.com"
URL = {"AuthType": "NONE", "NetConfig": {"EnableIntranet": False, "EnableExtranet": True}}


def packed(text: str = "def main_handler(event, context): return event") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("scf_entry.py"), text)
    return out.getvalue()


def zipped(text: str = "") -> dict[str, str]:
    return {"ZipFile": base64.b64encode(packed(text)).decode()}


class Runner:
    """Answers each event with itself, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def invoke(self, function: Deployed, event: Any, *, wait: bool) -> Outcome:
        return Outcome("r-1", json.dumps(event) if wait else "", log="a line")

    def changed(self, function: Deployed) -> None:
        self.told.append(f"changed {function.name}")

    def removed(self, function: Deployed) -> None:
        self.told.append(f"removed {function.name}")


OBJECTS = {("code-1250000000", "a.zip"): packed("x = 1")}


@pytest.fixture
def scf() -> Scf:
    return Scf(Runner(), objects=lambda bucket, key: OBJECTS[bucket, key])


@pytest.fixture
def api(scf: Scf, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudApi]:
    forget()
    with CloudApi({"scf": scf}) as api:
        for name, value in api.environ.items():
            monkeypatch.setenv(name, value)
        yield api
    forget()


def ask(action: str, **given: Any) -> dict[str, Any]:
    return call("scf", action, given)


def refused(action: str, **given: Any) -> str:
    with pytest.raises(TencentError) as error:
        ask(action, **given)
    return error.value.code


def create(name: str = "m-poll", **more: Any) -> None:
    given = {
        "FunctionName": name,
        "Handler": "scf_entry.main_handler",
        "Runtime": "Python3.10",
        "Code": zipped(),
        **more,
    }
    ask("CreateFunction", **given)


def active(name: str = "m-poll", **more: Any) -> dict[str, Any]:
    """A function that has come to rest, made first if `more` says how."""
    create(name, **more)
    while ask("GetFunction", FunctionName=name)["Status"] == "Creating":
        pass
    return ask("GetFunction", FunctionName=name)


def test_a_function_is_creating_until_it_has_been_looked_at_and_then_active(api: CloudApi) -> None:
    create()
    seen = [ask("GetFunction", FunctionName="m-poll")["Status"] for _ in range(3)]
    assert seen == ["Creating", "Active", "Active"]


def test_nothing_may_be_done_to_a_function_while_it_is_being_made(api: CloudApi) -> None:
    create()
    name = {"FunctionName": "m-poll"}
    assert refused("UpdateFunctionConfiguration", **name, Timeout=9) == (
        "FailedOperation.FunctionStatusError"
    )
    assert refused("UpdateFunctionCode", **name, Code=zipped(), Handler="a.b1") == (
        "FailedOperation.FunctionNameStatusError"
    )
    trigger = {"TriggerName": "t", "Type": "timer", "TriggerDesc": CRON}
    assert refused("CreateTrigger", **name, **trigger) == "FailedOperation.CreateTrigger"
    assert refused("Invoke", **name) == "FailedOperation.FunctionStatusError"
    assert refused("DeleteFunction", **name) == "FailedOperation.DeleteFunction"


def test_there_is_one_function_of_a_name(api: CloudApi) -> None:
    create()
    with pytest.raises(TencentError) as error:
        create()
    assert error.value.code == "ResourceInUse.FunctionName"


def test_what_is_not_there_is_not_found(api: CloudApi) -> None:
    for action in ("GetFunction", "DeleteFunction", "ListTriggers", "Invoke"):
        assert refused(action, FunctionName="nobody") == "ResourceNotFound.FunctionName"


def test_a_function_shows_what_it_was_made_with(api: CloudApi) -> None:
    shown = active(
        Timeout=120,
        MemorySize=512,
        Role="maquette-poll",
        Environment={"Variables": [{"Key": "MAQUETTE_STAGE", "Value": "dev"}]},
        VpcConfig={"VpcId": "vpc-1", "SubnetId": "subnet-1"},
        Description="Maquette, code abc",
    )
    told = ("Timeout", "MemorySize", "Role", "Description", "Handler", "Runtime", "Type")
    assert [shown[name] for name in told] == [
        120,
        512,
        "maquette-poll",
        "Maquette, code abc",
        "scf_entry.main_handler",
        "Python3.10",
        "Event",
    ]
    assert shown["Environment"]["Variables"] == [{"Key": "MAQUETTE_STAGE", "Value": "dev"}]
    assert shown["VpcConfig"] == {"VpcId": "vpc-1", "SubnetId": "subnet-1"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"MemorySize": 200}, "InvalidParameterValue.Memory"),
        ({"Timeout": 901}, "InvalidParameterValue.Timeout"),
        ({"Handler": "functions/poll.handler"}, "InvalidParameterValue.Handler"),
        ({"Description": "code: abc"}, "InvalidParameterValue.Description"),
        ({"VpcConfig": {"VpcId": "vpc-1"}}, "InvalidParameterValue.VpcConfig"),
        ({"Colour": "red"}, "UnknownParameter"),
        ({"Code": {"ZipFile": "bm8gemlw"}}, "InvalidParameterValue.ZipFile"),
        ({"Runtime": "Python3.12"}, "InvalidParameterValue.Runtime"),
        ({"Namespace": "elsewhere"}, "ResourceNotFound.Namespace"),
        ({"FunctionName": "-poll"}, "InvalidParameterValue.FunctionName"),
        (
            {"Environment": {"Variables": [{"Key": "SCF_X", "Value": "1"}]}},
            "InvalidParameterValue.EnvironmentSystemProtect",
        ),
        (
            {"Environment": {"Variables": [{"Key": "X", "Value": ""}]}},
            "InvalidParameterValue.Environment",
        ),
        (
            {"Environment": {"Variables": [{"Key": "X", "Value": "v" * 4096}]}},
            "InvalidParameterValue.EnvironmentExceededLimit",
        ),
        (
            {"Code": {"CosBucketName": "code-1250000000", "CosObjectName": "/a.zip"}},
            "InvalidParameterValue.CosBucketName",
        ),
        (
            {"Code": {"CosBucketName": "code", "CosObjectName": "/b.zip"}},
            "ResourceNotFound.CosObject",
        ),
    ],
)
def test_what_a_function_may_not_be_is_refused(
    api: CloudApi, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(TencentError) as error:
        create(**given)
    assert error.value.code == code


def test_code_may_lie_in_a_bucket(api: CloudApi, scf: Scf) -> None:
    active(Code={"CosBucketName": "code", "CosObjectName": "/a.zip"})
    assert scf.functions["default", "m-poll"].code == packed("x = 1")


def test_a_request_of_more_than_ten_megabytes_is_refused(api: CloudApi) -> None:
    text = "x" * (10 * 2**20)
    assert refused("CreateFunction", FunctionName="m-poll", Code={"ZipFile": text}) == (
        "RequestSizeLimitExceeded"
    )


def test_an_update_is_under_way_until_it_has_been_looked_at(api: CloudApi, scf: Scf) -> None:
    active()
    ask("UpdateFunctionConfiguration", FunctionName="m-poll", Timeout=60)
    seen = [ask("GetFunction", FunctionName="m-poll") for _ in range(2)]
    assert [(one["Status"], one["Timeout"]) for one in seen] == [("Updating", 60), ("Active", 60)]
    ask(
        "UpdateFunctionCode",
        FunctionName="m-poll",
        Handler="scf_entry.main_handler",
        Code=zipped("y = 2"),
    )
    assert scf.functions["default", "m-poll"].code == packed("y = 2")


def test_a_creation_that_fails_says_why_and_must_be_deleted_first(api: CloudApi, scf: Scf) -> None:
    scf.fail_next("m-poll", "the role is not there")
    create()
    ask("GetFunction", FunctionName="m-poll")
    shown = ask("GetFunction", FunctionName="m-poll")
    assert shown["Status"] == "CreateFailed"
    assert shown["StatusReasons"][0]["ErrorMessage"] == "the role is not there"
    assert refused("UpdateFunctionConfiguration", FunctionName="m-poll", Timeout=9)
    ask("DeleteFunction", FunctionName="m-poll")
    assert ask("GetFunction", FunctionName="m-poll")["Status"] == "Deleting"
    assert refused("GetFunction", FunctionName="m-poll") == "ResourceNotFound.FunctionName"
    active()


def test_the_runtime_of_a_function_never_changes(api: CloudApi) -> None:
    active()
    code = refused("UpdateFunctionConfiguration", FunctionName="m-poll", Runtime="Python3.9")
    assert code == "InvalidParameterValue.Runtime"


def test_a_variable_without_a_name_and_a_value_takes_all_away(api: CloudApi) -> None:
    active(Environment={"Variables": [{"Key": "X", "Value": "1"}]})
    none = {"Variables": [{"Key": "", "Value": ""}]}
    ask("UpdateFunctionConfiguration", FunctionName="m-poll", Environment=none)
    assert ask("GetFunction", FunctionName="m-poll")["Environment"] == {"Variables": []}


def test_a_timer_is_read_back_as_an_object_and_its_state_as_a_number(api: CloudApi) -> None:
    active()
    given = {"FunctionName": "m-poll", "TriggerName": "minute", "Type": "timer"}
    ask("CreateTrigger", **given, TriggerDesc=CRON, Enable="OPEN", Qualifier="$DEFAULT")
    (shown,) = ask("ListTriggers", FunctionName="m-poll")["Triggers"]
    assert json.loads(shown["TriggerDesc"]) == {"cron": CRON}
    assert shown["Enable"] == 1
    assert refused("UpdateTrigger", **given, Enable="CLOSE") == "ResourceNotFound.Trigger"
    ask("UpdateTrigger", **given, Enable="CLOSE", Qualifier="$DEFAULT")
    (shown,) = ask("ListTriggers", FunctionName="m-poll")["Triggers"]
    assert shown["Enable"] == 0
    assert refused("DeleteTrigger", **given) == "ResourceNotFound.Trigger"
    ask("DeleteTrigger", **given, Qualifier="$DEFAULT")
    left = ask("ListTriggers", FunctionName="m-poll")
    assert left == {"Triggers": [], "TotalCount": 0, "RequestId": ANY}


@pytest.mark.parametrize(
    ("kind", "name", "description", "code"),
    [
        ("timer", "t", "* * * * *", "InvalidParameterValue.TriggerDesc"),
        ("timer", "a trigger", CRON, "InvalidParameterValue.TriggerName"),
        ("ckafka", "t", "", "InvalidParameterValue.Type"),
        ("cos", "maquette-1250000000", "{}", "InvalidParameterValue.TriggerName"),
        ("cos", BUCKET, "no json", "InvalidParameterValue.TriggerDesc"),
        ("cos", BUCKET, '{"event": "s3:ObjectCreated:*"}', "InvalidParameterValue.TriggerDesc"),
        (
            "http",
            "url",
            json.dumps({**URL, "AuthType": "KEY"}),
            "InvalidParameterValue.TriggerDesc",
        ),
        ("http", "url", '{"AuthType": "NONE"}', "InvalidParameterValue.TriggerDesc"),
    ],
)
def test_a_trigger_that_says_something_else_is_refused(
    api: CloudApi, kind: str, name: str, description: str, code: str
) -> None:
    active()
    given = {"FunctionName": "m-poll", "TriggerName": name, "Type": kind}
    assert refused("CreateTrigger", **given, TriggerDesc=description) == code


def test_two_triggers_may_not_want_one_object(api: CloudApi) -> None:
    active("m-one")
    active("m-two")

    def of(prefix: str) -> dict[str, str]:
        rule = {"event": "cos:ObjectCreated:*", "filter": {"Prefix": prefix, "Suffix": ""}}
        return {"TriggerName": BUCKET, "Type": "cos", "TriggerDesc": json.dumps(rule)}

    ask("CreateTrigger", FunctionName="m-one", **of("incoming/"))
    assert refused("CreateTrigger", FunctionName="m-two", **of("incoming/x")) == "ResourceInUse.Cos"
    ask("CreateTrigger", FunctionName="m-two", **of("uploads/"))
    assert refused("UpdateTrigger", FunctionName="m-one", **of("incoming/")) == (
        "InvalidParameterValue.Type"
    )
    assert refused("DeleteTrigger", FunctionName="m-one", TriggerName=BUCKET, Type="cos") == (
        "MissingParameter"
    )
    ask("DeleteTrigger", FunctionName="m-one", **of("incoming/"))


def test_a_web_function_tells_its_url_and_is_not_to_be_invoked(api: CloudApi, scf: Scf) -> None:
    active("m-api", Type="HTTP")
    scf.functions["default", "m-api"].url = "http://127.0.0.1:9000"
    given = {"FunctionName": "m-api", "TriggerName": "url", "Type": "http"}
    ask("CreateTrigger", **given, TriggerDesc=json.dumps(URL))
    (shown,) = ask("ListTriggers", FunctionName="m-api")["Triggers"]
    assert json.loads(shown["TriggerDesc"])["NetConfig"] == {
        **URL["NetConfig"],  # type: ignore[dict-item]
        "ExtranetUrl": "http://127.0.0.1:9000",
    }
    assert refused("Invoke", FunctionName="m-api") == "UnsupportedOperation"


def test_an_invocation_waits_for_the_answer_or_only_to_be_taken(api: CloudApi, scf: Scf) -> None:
    active()
    name = {"FunctionName": "m-poll"}
    waited = ask("InvokeFunction", **name, Event='{"a": 1}')["Result"]
    assert (waited["RetMsg"], waited["InvokeResult"], waited["Log"]) == ('{"a": 1}', 0, "a line")
    taken = ask("Invoke", **name, InvocationType="Event", ClientContext="{}")["Result"]
    assert taken == {"FunctionRequestId": "r-1"}
    assert scf.invoked == [("m-poll", {"a": 1}, True), ("m-poll", {}, False)]


def test_the_end_of_an_invocation_that_nobody_waited_for_can_be_asked(
    api: CloudApi, scf: Scf
) -> None:
    active()
    name = {"FunctionName": "m-poll"}
    ask("Invoke", **name, InvocationType="Event", ClientContext="{}")

    def status() -> tuple[int, str]:
        (said,) = ask("GetRequestStatus", **name, FunctionRequestId="r-1")["Data"]
        return said["RetCode"], said["RetMsg"]

    assert status() == (1, "")
    scf.ended("m-poll", Outcome("r-1", error="boom"))
    assert status() == (-1, "boom")
    assert ask("GetRequestStatus", **name, FunctionRequestId="r-2")["TotalCount"] == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ClientContext": "{"}, "InvalidParameter.Payload"),
        ({"ClientContext": '"' + "x" * 2**17 + '"'}, "InvalidParameter.RequestTooLarge"),
        ({"InvocationType": "DryRun"}, "InvalidParameterValue"),
    ],
)
def test_an_event_that_cannot_be_given_is_refused(
    api: CloudApi, given: dict[str, str], code: str
) -> None:
    active()
    asked = {"InvocationType": "Event", **given}
    assert refused("Invoke", FunctionName="m-poll", **asked) == code


def test_layers_have_versions_and_functions_name_them(api: CloudApi, scf: Scf) -> None:
    given = {"LayerName": "packages", "CompatibleRuntimes": ["Python3.10"]}
    numbers = [
        ask("PublishLayerVersion", **given, Content=zipped(text))["LayerVersion"]
        for text in ("1", "2")
    ]
    assert numbers == [1, 2]
    one = {"LayerName": "packages", "LayerVersion": 1}
    with pytest.raises(TencentError, match="being published"):
        create(Layers=[one])
    seen = [ask("GetLayerVersion", **one)["Status"] for _ in range(2)]
    assert seen == ["Publishing", "Active"]
    assert active(Layers=[one])["Layers"] == [one]
    assert scf.functions["default", "m-poll"].layers == (packed("1"),)
    ask("DeleteLayerVersion", **one)
    listed = ask("ListLayerVersions", LayerName="packages")["LayerVersions"]
    assert [version["LayerVersion"] for version in listed] == [2]
    none = [{"LayerName": "", "LayerVersion": 0}]
    ask("UpdateFunctionConfiguration", FunctionName="m-poll", Layers=none)
    assert scf.functions["default", "m-poll"].layers == ()


def test_retries_are_two_until_they_are_set(api: CloudApi) -> None:
    active()
    name = {"FunctionName": "m-poll"}
    shown = ask("GetFunctionEventInvokeConfig", **name)["AsyncTriggerConfig"]
    assert shown == {"RetryConfig": [{"RetryNum": 2}], "MsgTTL": 21600}
    wanted = {"RetryConfig": [{"RetryNum": 0}], "MsgTTL": 60}
    ask("UpdateFunctionEventInvokeConfig", **name, AsyncTriggerConfig=wanted)
    assert ask("GetFunctionEventInvokeConfig", **name)["AsyncTriggerConfig"] == wanted
    wrong = {"RetryConfig": [{"RetryNum": 3}], "MsgTTL": 60}
    assert refused("UpdateFunctionEventInvokeConfig", **name, AsyncTriggerConfig=wrong) == (
        "LimitExceeded.RetryNum"
    )


def test_the_runner_hears_of_every_change(api: CloudApi, scf: Scf) -> None:
    active()
    ask("UpdateFunctionConfiguration", FunctionName="m-poll", Timeout=60)
    ask("GetFunction", FunctionName="m-poll")
    ask("DeleteFunction", FunctionName="m-poll")
    assert isinstance(scf.runner, Runner)
    assert scf.runner.told == ["changed m-poll", "changed m-poll", "removed m-poll"]


def test_who_does_not_sign_rightly_is_not_let_in(
    api: CloudApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRETKEY", "another")
    assert refused("ListFunctions") == "AuthFailure.SignatureFailure"
    assert not api.calls


def test_functions_are_listed_a_page_at_a_time(api: CloudApi) -> None:
    for name in ("m-a1", "m-a2", "m-b1"):
        create(name)
    page = ask("ListFunctions", SearchKey="m-a", Limit=1, Offset=1)
    assert [one["FunctionName"] for one in page["Functions"]] == ["m-a2"]
    assert page["TotalCount"] == 2


def test_a_fault_of_the_emulator_s_own_is_told_as_one(api: CloudApi, scf: Scf) -> None:
    def break_down(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    api.before = break_down
    with pytest.raises(TencentError, match=r"InternalError.*ours"):
        create()


def test_a_line_may_be_cut_after_what_was_asked_is_done(api: CloudApi, scf: Scf) -> None:
    def cut(*_: Any) -> None:
        raise Dropped()

    api.after = cut
    with pytest.raises(TencentError):
        create()
    assert ("default", "m-poll") in scf.functions
    assert api.calls == {"scf:CreateFunction": 1}
