"""template.yaml as the local cloud reads it.

测试模板的读取。
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws import template
from infra.aws.template import Function, ObjectCreated, Schedule, TemplateError
from infra.paths import ROOT

TEMPLATE = """
Parameters:
  Memory: {Type: Number, Default: 1024}
Globals:
  Function:
    Timeout: 60
    Environment: {Variables: {TABLE: !Ref Table}}
Resources:
  Front:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.api.handler.handler
      MemorySize: !Ref Memory
      Policies: [!Sub "arn:${AWS::Partition}:x", !GetAtt Table.Arn]
      Events:
        Everything: {Type: HttpApi}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.postprocess.handler.handler
      Timeout: 300
      Events:
        Often: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(5 minutes)}}
        Never: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), State: DISABLED}}
        New:
          Type: S3
          Properties:
            Bucket: !Ref Bucket
            Events: [s3:ObjectCreated:Put, s3:ObjectCreated:Copy]
            Filter:
              S3Key:
                Rules: [{Name: prefix, Value: incoming/}, {Name: suffix, Value: .glb}]
  Table: {Type: AWS::DynamoDB::Table}
"""
PARTS = """
Resources:
  Front:
    Type: AWS::Serverless::Function
    Properties: {Handler: functions.api.handler.handler}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.postprocess.handler.handler
      Events:
        New:
          Type: EventBridgeRule
          Properties:
            Pattern:
              source: [aws.s3]
              detail-type: [Object Created]
              detail:
                bucket: {name: [!Ref Bucket]}
                object: {key: [{prefix: incoming/}, {suffix: .glb}]}
  All:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Gateway, RouteKey: $default, Target: !Sub "integrations/${Joint}"}
  Joint:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Gateway, IntegrationUri: !GetAtt Front.Arn}
"""


def test_a_template_says_which_functions_there_are_and_what_wakes_them() -> None:
    assert template.functions(TEMPLATE) == {
        "api": Function("api", "functions.api.handler.handler", 60, 1024, http=True),
        "postprocess": Function(
            "postprocess",
            "functions.postprocess.handler.handler",
            300,
            128,
            schedules=(Schedule("Often", 300),),
            objects=(
                ObjectCreated(
                    ("s3:ObjectCreated:Put", "s3:ObjectCreated:Copy"), "incoming/", ".glb"
                ),
            ),
        ),
    }


def test_an_http_api_and_a_rule_may_be_written_out_in_their_parts() -> None:
    found = template.functions(PARTS)
    assert found["api"].http
    assert not found["postprocess"].http
    assert found["postprocess"].objects == (
        ObjectCreated(("s3:ObjectCreated:*",), prefix="incoming/"),
        ObjectCreated(("s3:ObjectCreated:*",), suffix=".glb"),
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("RouteKey: $default", "RouteKey: GET /"), "All: the local cloud knows only routes"),
        (("integrations/${Joint}", "elsewhere/${Joint}"), "All.Target"),
        (("!GetAtt Front.Arn", "http://elsewhere"), "Joint.IntegrationUri"),
        (("[Object Created]", "[Object Deleted]"), "Worker.Events.New: the local cloud knows only"),
        (("[aws.s3]", "[aws.ec2]"), "Worker.Events.New: the local cloud knows only"),
        (("{suffix: .glb}", "{wildcard: x*}"), "neither a prefix nor a suffix"),
    ],
)
def test_parts_that_the_local_cloud_cannot_play_are_refused(
    change: tuple[str, str], said: str
) -> None:
    assert change[0] in PARTS
    with pytest.raises(TemplateError, match=re.escape(said)):
        template.functions(PARTS.replace(*change))


def test_the_deployed_template_can_be_read() -> None:
    found = template.read(ROOT / "template.yaml")
    assert {"api", "poll", "postprocess", "callback"} <= set(found)
    assert [name for name, function in found.items() if function.http] == ["api"]
    assert found["poll"].schedules
    assert found["callback"].schedules
    (rule,) = found["postprocess"].objects
    assert rule.matches("s3:ObjectCreated:Put", "incoming/JOB/model.glb")
    assert not rule.matches("s3:ObjectCreated:Put", "artifacts/JOB/model.glb")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("Type: HttpApi", "Type: SQS"), "no events of type 'SQS'"),
        (("rate(5 minutes)", "cron(0 12)"), "Worker.Events.Often: schedule 'cron"),
        (("Name: prefix", "Name: middle"), "'middle', not prefix or suffix"),
        (("!Ref Memory", "!Ref Elsewhere"), "Front.MemorySize"),
        (("Timeout: 300", "Timeout: long"), "Worker.Timeout: 'long' is not a whole number"),
        (("functions.api.handler.handler", "handler.handler"), "Front.Handler"),
        (("{Type: HttpApi}", "{Type: HttpApi, Properties: {Path: /x}}"), "every request"),
        (("functions.postprocess", "functions.api"), "another function"),
        (("AWS::Serverless::Function", "AWS::Lambda::Function"), "has no AWS::Serverless"),
    ],
)
def test_what_the_local_cloud_cannot_do_is_said_with_its_place(
    change: tuple[str, str], said: str
) -> None:
    with pytest.raises(TemplateError, match=re.escape(said)):
        template.functions(TEMPLATE.replace(*change))


@given(st.integers(1, 10_000), st.sampled_from([("minute", 60), ("hour", 3600), ("day", 86400)]))
def test_a_rate_is_its_number_of_units_in_seconds(count: int, unit: tuple[str, int]) -> None:
    name, seconds = unit
    assert template.rate(f"rate({count} {name}{'' if count == 1 else 's'})") == count * seconds


@given(st.text(max_size=30))
def test_no_other_text_is_taken_for_a_rate(text: str) -> None:
    if re.fullmatch(r"\s*rate\(.*\)\s*", text) is None:
        with pytest.raises(TemplateError):
            template.rate(text)
