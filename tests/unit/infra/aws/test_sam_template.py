"""template.yaml as AWS will take it: what every function has, and what it may touch."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.aws import building, template
from infra.aws.build import pack
from infra.paths import ROOT
from shared import metrics
from shared.aws import emf
from shared.config import Settings, variable_of, variables
from shared.inputs import uploads
from shared.providers.registry import PROVIDERS
from shared.store.tables import TABLES

DOCUMENT = template.parse((ROOT / "template.yaml").read_text("utf-8"))
RESOURCES: dict[str, Any] = DOCUMENT["Resources"]
FUNCTIONS = {
    label: one["Properties"]
    for label, one in RESOURCES.items()
    if one["Type"] == "AWS::Serverless::Function"
}
ENVIRONMENT: dict[str, Any] = DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]
DAY = 24 * 3600

every_function = pytest.mark.parametrize("label", FUNCTIONS)


def of_type(kind: str) -> dict[str, Any]:
    return {
        label: one.get("Properties", {})
        for label, one in RESOURCES.items()
        if one["Type"] == f"AWS::{kind}"
    }


def statements(label: str) -> list[Any]:
    """A function's statements, both sides of every condition."""
    (policy,) = RESOURCES[f"{label}Role"]["Properties"]["Policies"]
    found: list[Any] = []
    for statement in policy["PolicyDocument"]["Statement"]:
        _, *sides = statement.get("If", (None, statement))
        found += [side for side in sides if side != {"Ref": "AWS::NoValue"}]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize("arguments", [["--lint"], ["--region", "us-east-1"]])
def test_sam_finds_nothing_wrong(arguments: list[str], tmp_path: Path) -> None:
    environ = {name: os.environ[name] for name in os.environ if not name.startswith("AWS_")}
    done = subprocess.run(
        [str(building.SAM), "validate", "--template", str(ROOT / "template.yaml"), *arguments],
        cwd=tmp_path,
        env={**environ, "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_every_folder_of_functions_is_a_function_named_after_the_stack() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    folders.remove("migrate")  # SCF's alone: on AWS there is no SQL database to be migrated
    assert {label.lower() for label in FUNCTIONS} == folders
    for label, function in FUNCTIONS.items():
        assert function["FunctionName"] == {"Sub": f"${{AWS::StackName}}-{label.lower()}"}
        assert function["Handler"] == f"functions.{label.lower()}.handler.handler"


@every_function
def test_logs_go_to_a_group_of_the_function_s_own_and_are_not_kept_for_ever(label: str) -> None:
    assert FUNCTIONS[label]["LoggingConfig"] == {"LogGroup": {"Ref": f"{label}Logs"}}
    group = of_type("Logs::LogGroup")[f"{label}Logs"]
    assert group["LogGroupName"] == {"Sub": f"/aws/lambda/${{AWS::StackName}}-{label.lower()}"}
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@every_function
def test_a_wake_up_is_given_up_before_the_next_timer_and_then_kept_aside(label: str) -> None:
    invoked = FUNCTIONS[label]["EventInvokeConfig"]
    assert invoked["MaximumEventAgeInSeconds"] == 60  # the least that Lambda takes
    assert invoked["MaximumRetryAttempts"] == 0
    dead_letters = {"GetAtt": f"{label}DeadLetters.Arn"}
    assert invoked["DestinationConfig"]["OnFailure"] == {"Type": "SQS", "Destination": dead_letters}
    queue = of_type("SQS::Queue")[f"{label}DeadLetters"]
    assert queue == {"MessageRetentionPeriod": 14 * DAY, "SqsManagedSseEnabled": True}
    (may,) = [one for one in statements(label) if one["Sid"] == "DeadLetters"]
    assert (may["Action"], may["Resource"]) == ("sqs:SendMessage", dead_letters)


@pytest.mark.parametrize("label", ["Poll", "Callback"])
def test_timers_fire_each_minute_and_are_not_made_up_for(label: str) -> None:
    (event,) = FUNCTIONS[label]["Events"].values()
    assert event["Type"] == "ScheduleV2"
    assert event["Properties"] == {
        # Schedules of one account share their names.
        "Name": {"Sub": f"${{AWS::StackName}}-{label.lower()}"},
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": {"GetAtt": f"{label}DeadLetters.Arn"}},
    }


@every_function
def test_somebody_is_told_of_errors_and_throttling(label: str) -> None:
    alarms = of_type("CloudWatch::Alarm")
    function = {"Name": "FunctionName", "Value": {"Ref": label}}
    for name, metric, dimension in (
        ("Errors", "Errors", function),
        ("Throttles", "Throttles", function),
    ):
        alarm = alarms[label + name]
        assert alarm["MetricName"] == metric
        assert alarm["Dimensions"] == [dimension]


def test_alarms_are_there_when_somebody_is_to_be_told_and_cost_nothing_otherwise() -> None:
    for label, alarm in of_type("CloudWatch::Alarm").items():
        assert RESOURCES[label]["Condition"] == "HasAlarms"
        assert alarm["AlarmActions"] == [{"Ref": "Alarms"}]
    assert RESOURCES["Alarms"]["Condition"] == "HasAlarms"
    assert DOCUMENT["Conditions"]["HasAlarms"] == {"Not": [{"Equals": [{"Ref": "AlarmEmail"}, ""]}]}


def test_alarms_watch_what_the_functions_measure() -> None:
    alarms = of_type("CloudWatch::Alarm")
    for alarm, metric, dimensions in (
        ("QueuesBehind", metrics.QUEUE_AGE, metrics.QUEUE_AGE.also),  # all queues together
        ("DeadDeliveries", metrics.DELIVERIES, metrics.DELIVERIES.dimensions),
    ):
        assert alarms[alarm]["Namespace"] == emf.NAMESPACE
        assert alarms[alarm]["MetricName"] == metric.name
        named = [one["Name"] for one in alarms[alarm]["Dimensions"]]
        assert named == ["stage", *(dimensions or ())]
    # A poll that does not run measures nothing.
    assert alarms["QueuesBehind"]["TreatMissingData"] == "breaching"


def test_no_secret_is_in_the_environment_and_every_name_is_a_setting() -> None:
    models = [Settings, *(declared.settings for declared in PROVIDERS.values())]
    fields = {
        variable_of(name, model): field
        for model in models
        for name, field in model.model_fields.items()
    }
    secret = {name for name, field in fields.items() if "SecretStr" in repr(field)}
    assert {"MAQUETTE_LINK_SECRET", "TRIPO_API_KEY"} <= secret
    assert set(ENVIRONMENT) <= set(variables()) - secret
    for function in FUNCTIONS.values():
        assert "Environment" not in function


def test_what_is_left_out_is_left_out_of_the_environment() -> None:
    nothing = {"Ref": "AWS::NoValue"}
    for variable, parameter, condition in (
        ("TRIPO_BASE_URL", "TripoBaseUrl", "HasTripoUrl"),
        ("QWEN_IMAGE_BASE_URL", "QwenImageUrl", "HasQwenUrl"),
    ):
        assert ENVIRONMENT[variable] == {"If": [condition, {"Ref": parameter}, nothing]}


@every_function
def test_a_role_says_exactly_what_may_be_done_to_what(label: str) -> None:
    assert FUNCTIONS[label]["Role"] == {"GetAtt": f"{label}Role.Arn"}
    assert "Policies" not in FUNCTIONS[label]
    assert "ManagedPolicyArns" not in RESOURCES[f"{label}Role"]["Properties"]
    names = [(one["Sid"], *listed(one["Action"])) for one in statements(label)]
    assert len(names) == len(set(names))
    for statement in statements(label):
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action), action


@every_function
def test_a_wildcard_stands_for_names_that_cannot_be_known(label: str) -> None:
    for statement in statements(label):
        for resource in strings(statement["Resource"]):
            plain = re.sub(
                r"^\$\{Bucket\.Arn\}/[a-z]+/\*$"  # the objects under one prefix
                r"|-\?{6}$",  # what Secrets Manager puts after a secret's name
                "",
                resource,
            )
            assert not set(plain) & set("*?"), resource


@every_function
def test_a_customer_key_is_used_through_s3_and_the_secrets_alone(label: str) -> None:
    (key,) = [one for one in statements(label) if one["Sid"] == "Key"]
    assert key["Resource"] == {"Ref": "KmsKeyArn"}
    assert [*strings(key["Condition"]["StringEquals"]["kms:ViaService"])] == [
        "s3.${AWS::Region}.${AWS::URLSuffix}",
        "${SecretsStore}.${AWS::Region}.${AWS::URLSuffix}",
    ]


def test_no_function_may_empty_the_table_or_read_it_whole() -> None:
    for label in FUNCTIONS:
        actions = {one for may in statements(label) for one in listed(may["Action"])}
        assert not actions & {"dynamodb:DeleteItem", "dynamodb:DeleteTable", "dynamodb:Scan"}


def test_the_table_has_every_index_that_is_asked_for() -> None:
    table = RESOURCES["Table"]["Properties"]
    asked = {index.name for kind in TABLES for index in kind.indexes}
    made = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert set(made) == asked
    for name, index in made.items():
        assert index["KeySchema"] == [
            {"AttributeName": name, "KeyType": "HASH"},
            {"AttributeName": f"{name}_sort", "KeyType": "RANGE"},
        ]
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    named = {f"${{Table.Arn}}/index/{name}" for name in asked}
    for label in FUNCTIONS:
        (may,) = [one for one in statements(label) if one["Sid"] == "Indexes"]
        assert {*strings(may["Resource"])} <= named


@pytest.mark.parametrize("label", ["Table", "Bucket"])
def test_what_holds_customers_work_outlives_the_stack(label: str) -> None:
    assert RESOURCES[label]["DeletionPolicy"] == "Retain"
    assert RESOURCES[label]["UpdateReplacePolicy"] == "Retain"


def test_the_table_can_be_brought_back_and_not_be_deleted_by_accident() -> None:
    table = RESOURCES["Table"]["Properties"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_bucket_is_private_encrypted_and_keeps_what_was_overwritten() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    _, customer, own = rule["ServerSideEncryptionByDefault"]["If"]
    assert (customer["SSEAlgorithm"], own["SSEAlgorithm"]) == ("aws:kms", "AES256")
    assert "BucketName" not in bucket
    (only_tls,) = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert only_tls["Effect"] == "Deny"
    assert only_tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_bucket_clears_what_is_left_behind_and_nothing_else() -> None:
    rules = RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    by_id = {rule["Id"]: rule for rule in rules}
    assert all(rule["Status"] == "Enabled" for rule in rules)
    expiring = [rule for rule in rules if "ExpirationInDays" in rule]
    assert [rule["Prefix"] for rule in expiring] == ["incoming/", "uploads/"]
    # An upload's file goes when the upload is over, not before, and so does what was put before it.
    assert by_id["uploads"]["ExpirationInDays"] * DAY > uploads.SECONDS
    assert by_id["uploads"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    # A file waits there for `postprocess` no longer than storing and checking may take.
    kept = by_id["incoming"]["ExpirationInDays"] * DAY
    assert kept > 10 * Settings.model_fields["store_seconds"].default
    assert by_id["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert by_id["half-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_new_files_are_told_of_without_the_bucket_knowing_any_function() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert bucket["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    (rule,) = FUNCTIONS["Postprocess"]["Events"].values()
    assert rule["Properties"]["Pattern"]["detail"]["bucket"] == {"name": [{"Ref": "Bucket"}]}


def test_the_http_api_is_throttled_logged_and_waits_as_long_as_its_function() -> None:
    stage = RESOURCES["HttpStage"]["Properties"]
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingBurstLimit": {"Ref": "BurstLimit"},
        "ThrottlingRateLimit": {"Ref": "RateLimit"},
    }
    assert stage["AccessLogSettings"]["DestinationArn"] == {"GetAtt": "HttpLogs.Arn"}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert line["request_id"] == "$context.requestId"
    assert RESOURCES["ApiIntegration"]["Properties"]["PayloadFormatVersion"] == "2.0"
    assert FUNCTIONS["Api"]["Timeout"] <= 30  # the longest an HTTP API waits


def test_nobody_gets_past_the_firewall() -> None:
    assert RESOURCES["Distribution"]["Condition"] == "HasFirewall"
    distribution = RESOURCES["Distribution"]["Properties"]["DistributionConfig"]
    assert distribution["WebACLId"] == {"Ref": "WebAclArn"}
    (origin,) = distribution["Origins"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    (header,) = origin["OriginCustomHeaders"]
    assert header["HeaderName"] == "X-Origin-Secret"
    _, *values = header["HeaderValue"]["If"]
    for value in values:
        assert re.fullmatch(r"\{\{resolve:.*MAQUETTE_ORIGIN_SECRET\}\}", value["Sub"])


def test_polls_at_once_are_limited_where_the_account_has_enough_of_them() -> None:
    limit = FUNCTIONS["Poll"]["ReservedConcurrentExecutions"]
    assert limit == {"If": ["LimitsPolls", {"Ref": "PollConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert DOCUMENT["Conditions"]["LimitsPolls"] == {
        "Not": [{"Equals": [{"Ref": "PollConcurrency"}, 0]}]
    }


@every_function
def test_a_function_has_one_layer_and_it_holds_its_packages(label: str) -> None:
    (layer,) = FUNCTIONS[label]["Layers"]
    assert label.lower() in pack.LAYERS[layer["Ref"]]


def test_the_packages_are_built_for_what_the_template_names_by_default() -> None:
    makefile = (ROOT / DOCUMENT["Globals"]["Function"]["CodeUri"] / "Makefile").read_text("utf-8")
    for parameter, variable in (
        ("PythonRuntime", "BUILD_RUNTIME"),
        ("Architecture", "BUILD_ARCHITECTURE"),
    ):
        default = DOCUMENT["Parameters"][parameter]["Default"]
        assert parameter != "Architecture" or default == building.ARCHITECTURE
        assert f"\n{variable} ?= {default}\n" in makefile
    for label, layer in of_type("Serverless::LayerVersion").items():
        assert label in pack.LAYERS
        assert RESOURCES[label]["Metadata"]["BuildMethod"] == "makefile"
        assert layer["ContentUri"] == DOCUMENT["Globals"]["Function"]["CodeUri"]
