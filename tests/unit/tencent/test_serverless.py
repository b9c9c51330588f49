"""serverless.yml against template.yaml: the same functions on both clouds, woken by the same.

两个云的函数定义必须一致。
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml

from infra.aws import template
from infra.paths import ROOT
from infra.tencent.build.entries import HANDLER
from infra.tencent.service import Function, Trigger, read
from shared.config import variables

AWS = template.read(ROOT / "template.yaml")
SERVICE = read("dev", environ={"TENCENTCLOUD_APPID": "1250000000"})
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "serverless.yml").read_text("utf-8"))
TEMPLATE = template.parse((ROOT / "template.yaml").read_text("utf-8"))
OF_ONE_CLOUD = {
    "migrate": "DynamoDB has no tables to migrate",
    "qwen-image": "Lambda has no GPU",
}
"""The functions that AWS has not, and why."""
STEP = 128
"""SCF's memory comes in steps of so many megabytes (583/11637)."""
BUCKET = "maquette-dev-1250000000"

both = pytest.mark.parametrize("name", sorted(AWS))


def kinds(function: Function) -> list[str]:
    return [trigger.kind for trigger in function.triggers]


def minutes(cron: str) -> float:
    """How often it fires, for the expressions that mean every so many minutes."""
    second, minute, *rest = cron.split()
    assert (second, rest) == ("0", ["*"] * 5)
    return 1 if minute == "*" else float(minute.removeprefix("*/"))


def test_the_same_functions_are_on_both_clouds_but_for_those_that_have_a_reason() -> None:
    assert set(SERVICE.functions) == {*AWS, *OF_ONE_CLOUD}


@both
def test_a_function_has_the_same_time_and_the_same_memory_in_scf_s_steps(name: str) -> None:
    aws, tencent = AWS[name], SERVICE.functions[name]
    assert tencent.timeout == aws.timeout
    assert tencent.memory == STEP * math.ceil(aws.memory / STEP)


@both
def test_a_function_is_woken_by_the_same_things(name: str) -> None:
    aws, tencent = AWS[name], SERVICE.functions[name]
    assert (tencent.kind == "HTTP") == ("http" in kinds(tencent)) == aws.http
    timers = [one for one in tencent.triggers if one.kind == "timer"]
    assert [60 * minutes(one.description) for one in timers] == [
        one.seconds for one in aws.schedules
    ]
    created = [json.loads(one.description) for one in tencent.triggers if one.kind == "cos"]
    assert [(one["filter"]["Prefix"], one["filter"]["Suffix"]) for one in created] == [
        (one.prefix, one.suffix) for one in aws.objects
    ]
    assert {one["event"] for one in created} <= {"cos:ObjectCreated:*"}
    assert all(one.enabled for one in tencent.triggers)


def test_new_files_of_providers_wake_postprocess_and_nothing_else() -> None:
    (trigger,) = SERVICE.functions["postprocess"].triggers
    assert trigger == Trigger(
        f"{BUCKET}.cos.ap-guangzhou.myqcloud.com",
        "cos",
        json.dumps(
            {"event": "cos:ObjectCreated:*", "filter": {"Prefix": "incoming/", "Suffix": ""}}
        ),
    )


@pytest.mark.parametrize("name", sorted(SERVICE.functions))
def test_what_failed_is_not_repeated_and_no_event_waits_longer_than_on_aws(name: str) -> None:
    function = SERVICE.functions[name]
    config = TEMPLATE["Resources"]["Poll"]["Properties"]["EventInvokeConfig"]
    assert function.retries == config["MaximumRetryAttempts"] == 0
    assert function.event_age == config["MaximumEventAgeInSeconds"]


@pytest.mark.parametrize("name", sorted({*AWS, "migrate"}))
def test_code_begins_at_the_entry_that_is_packed_and_finds_its_packages_in_a_layer(
    name: str,
) -> None:
    function = SERVICE.functions[name]
    assert function.handler == ("" if function.kind == "HTTP" else HANDLER)
    assert function.image is None
    assert function.layers
    assert set(function.layers) <= set(DOCUMENT["layers"])
    assert function.runtime == "Python3.10"
    assert function.role == f"maquette-dev-{name}"


def test_functions_share_their_last_layer_where_they_share_one_on_aws() -> None:
    shared: dict[str, set[str]] = {}
    for name in AWS:
        *_, layer = SERVICE.functions[name].layers
        shared.setdefault(layer, set()).add(name)
    aws: dict[str, set[str]] = {}
    for label, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            (layer,) = resource["Properties"]["Layers"]
            aws.setdefault(layer["Ref"].lower(), set()).add(label.lower())
    assert shared == aws


@both
def test_the_settings_are_those_of_aws_but_for_what_the_secret_holds(name: str) -> None:
    on_aws = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    written = set(DOCUMENT["custom"]["settings"])
    assert on_aws - written == {"MAQUETTE_STORE_URL"}  # a database's URL holds its password
    assert written <= on_aws
    assert written <= set(variables()) | {"MAQUETTE_SECRETS_URL"}
    assert DOCUMENT["functions"][name]["environment"] == "${self:custom.settings}"


def test_migrate_alone_reads_the_secret_that_may_change_tables() -> None:
    urls = {
        name: function.environment.get("MAQUETTE_SECRETS_URL")
        for name, function in SERVICE.functions.items()
    }
    assert urls.pop("migrate") == "tencent-ssm:///maquette-dev-migrate"
    assert urls.pop("qwen-image") is None
    assert set(urls.values()) == {"tencent-ssm:///maquette-dev"}
    assert SERVICE.functions["migrate"].triggers == ()


def test_what_an_account_has_of_its_own_comes_from_the_environment() -> None:
    environ = {
        "TENCENT_BUCKET": "files-1250000001",
        "TENCENT_VPC_ID": "vpc-12345678",
        "TENCENT_SUBNET_ID": "subnet-12345678",
        "TENCENT_CLS_LOGSET_ID": "logset",
        "TENCENT_CLS_TOPIC_ID": "topic",
        "TENCENTCLOUD_REGION": "ap-shanghai",
        "MAQUETTE_PUBLIC_URL": "https://maquette.example",
        "TENCENT_GPU_IMAGE": "ccr.ccs.tencentyun.com/shop/qwen-image:1@sha256:0",
    }
    service = read("prod", environ=environ)
    poll = service.functions["poll"]
    assert service.region == "ap-shanghai"
    assert poll.name == "maquette-prod-poll"
    assert poll.vpc == {"vpcId": "vpc-12345678", "subnetId": "subnet-12345678"}
    assert poll.logs == {"logsetId": "logset", "topicId": "topic"}
    assert poll.environment["MAQUETTE_BUCKET_URL"] == "cos://files-1250000001"
    assert poll.environment["MAQUETTE_PUBLIC_URL"] == "https://maquette.example"
    assert poll.environment["MAQUETTE_WAKE_URL"] == "scf://maquette-prod"
    gpu = service.functions["qwen-image"]
    assert gpu.image is not None
    assert gpu.image["imageUri"] == environ["TENCENT_GPU_IMAGE"]
    assert gpu.node["nodeType"] == "GPU"
