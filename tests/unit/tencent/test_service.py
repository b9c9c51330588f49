"""serverless.yml is read with its variables put in, and what cannot be deployed is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.tencent.service import ServiceError, Trigger, parse, read
from infra.tencent.variables import VariableError, resolved

TEXT = """
service: maquette
custom:
  bucket: ${env:BUCKET}
provider:
  name: tencent
  region: ${opt:region, env:TENCENTCLOUD_REGION, 'ap-guangzhou'}
  runtime: Python3.10
  memorySize: 512
  retryNum: 0
  msgTTL: 60
  vpcConfig: {vpcId: "${env:VPC, ''}", subnetId: "${env:SUBNET, ''}"}
  environment:
    MAQUETTE_STAGE: ${sls:stage}
    MAQUETTE_BUCKET_URL: cos://${self:custom.bucket}
    MAQUETTE_PUBLIC_URL: ${env:URL, ''}
functions:
  api:
    type: web
    timeout: 30
    memorySize: 1024
    events:
      - http: {authType: NONE, netConfig: {enableExtranet: true}}
  poll:
    handler: scf_entry.main_handler
    timeout: 120
    role: maquette-${sls:stage}-poll
    environment: {MAQUETTE_STAGE: other, LEFT_OUT: null}
    events:
      - timer: {name: minute, cronExpression: "0 * * * * * *"}
  postprocess:
    handler: scf_entry.main_handler
    events:
      - cos: {bucket: "${self:custom.bucket}", filter: {prefix: incoming/}}
"""
ENVIRON = {"BUCKET": "maquette-1250000000"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "serverless.yml"
    path.write_text(TEXT)
    return path


def test_functions_say_what_they_are_and_the_provider_says_the_rest(path: Path) -> None:
    service = read("dev", path=path, environ=ENVIRON)
    assert (service.stage, service.region) == ("dev", "ap-guangzhou")
    api, poll, postprocess = service.functions.values()
    assert (api.name, api.kind, api.timeout, api.memory) == ("maquette-dev-api", "HTTP", 30, 1024)
    assert (poll.name, poll.kind, poll.memory, poll.role) == (
        "maquette-dev-poll",
        "Event",
        512,
        "maquette-dev-poll",
    )
    assert (poll.retries, poll.event_age, poll.vpc) == (0, 60, {})
    assert api.environment == {
        "MAQUETTE_STAGE": "dev",
        "MAQUETTE_BUCKET_URL": "cos://maquette-1250000000",
    }
    assert poll.environment["MAQUETTE_STAGE"] == "other"
    assert "LEFT_OUT" not in poll.environment
    assert postprocess.timeout == 3


def test_triggers_are_read_as_the_api_takes_them(path: Path) -> None:
    service = read("dev", path=path, environ=ENVIRON, options={"region": "ap-shanghai"})
    (url,), (timer,), (created,) = (one.triggers for one in service.functions.values())
    assert (url.kind, json.loads(url.description)) == (
        "http",
        {"AuthType": "NONE", "NetConfig": {"EnableIntranet": False, "EnableExtranet": True}},
    )
    assert timer == Trigger("minute", "timer", "0 * * * * * *")
    assert created.name == "maquette-1250000000.cos.ap-shanghai.myqcloud.com"
    assert json.loads(created.description) == {
        "event": "cos:ObjectCreated:*",
        "filter": {"Prefix": "incoming/", "Suffix": ""},
    }


def test_a_variable_without_a_value_is_named(path: Path) -> None:
    with pytest.raises(ServiceError, match="env:BUCKET"):
        read("dev", path=path, environ={})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${opt:a, 'x'}", "x"),
        ("${opt:stage}", "dev"),
        ("${env:N, 5}", 5),
        ("${env:N, null}", None),
        ("${env:N, true}", True),
        ("${opt:a, opt:b, env:E}", "e"),
        ("a-${opt:${env:WHICH}}-b", "a-dev-b"),
        ("${self:list}", [1, "dev"]),
        ("${self:again}", "dev!"),
        ('${env:N, "with, comma"}', "with, comma"),
        ("no variable: $x {y} $", "no variable: $x {y} $"),
    ],
)
def test_variables_are_put_in(text: str, value: Any) -> None:
    document = {"list": [1, "${sls:stage}"], "again": "${sls:stage}!", "text": text}
    found = resolved(document, {"stage": "dev"}, {"E": "e", "WHICH": "stage"})
    assert found["text"] == value


@pytest.mark.parametrize(
    "text", ["${file(x.yml)}", "${self:text}", "${self:nothing}", "a${self:list}", "${ssm:/a}"]
)
def test_what_cannot_be_put_in_is_refused(text: str) -> None:
    with pytest.raises(VariableError):
        resolved({"list": [1], "text": text}, {}, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provider.name": "aws"}, "provider.name"),
        ({"provider.colour": "red"}, "provider.colour"),
        ({"functions.poll.colour": "red"}, "functions.poll.colour"),
        ({"functions.poll.type": "job"}, "functions.poll.type"),
        ({"functions.poll.handler": None}, "functions.poll.handler"),
        ({"functions.poll.timeout": "soon"}, "functions.poll.timeout"),
        ({"functions.poll.environment": {"A": [1]}}, "environment.A"),
        ({"functions.poll.vpcConfig": {"vpcId": "v"}}, "functions.poll.vpcConfig"),
        (
            {"functions.poll.events": [{"timer": {"cronExpression": "* * * * *"}}]},
            "events.0.timer.cronExpression",
        ),
        ({"functions.poll.events": [{"timer": {"cron": "* * * * *"}}]}, "events.0.timer.cron"),
        ({"functions.poll.events": [{"cos": {"bucket": "nobody"}}]}, "events.0.cos.bucket"),
        ({"functions.poll.events": [{"apigw": {}}]}, "events.0.apigw"),
        ({"functions": {}}, "functions"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    document: dict[str, Any] = resolved(yaml.safe_load(TEXT), {"stage": "dev"}, ENVIRON)
    for place, value in change.items():
        *parents, last = place.split(".")
        node = document
        for name in parents:
            node = node[name]
        node[last] = value
    with pytest.raises(ServiceError) as error:
        parse(document, "dev")
    assert words in str(error.value)
