"""What functions ask of AWS and what template.yaml lets them: recorded, resolved, compared.

记录函数对 AWS 的调用，并解析 template.yaml 中的权限。
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import boto3

from infra.aws import template
from infra.paths import ROOT
from tests.grants import Call, Grant

ACCOUNT, REGION = "000000000000", "us-east-1"

PLATFORM = frozenset({"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"})
"""What Lambda itself does in a function's name: its log, its dead letters."""


@dataclass
class Recorder:
    """Which calls each function made; `function` says whose turn it is.

    记录各函数的调用。
    """

    function: str = ""
    calls: dict[str, set[Call]] = field(default_factory=dict)

    def note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """Hear of one request before it is sent.

        记录一次请求。
        """
        service = model.service_model.service_name
        needed = _NEEDS[service](model.name, params)
        self.calls.setdefault(self.function, set()).update(needed)

    @contextmanager
    def turn(self, function: str) -> Iterator[None]:
        """What happens inside is this function's doing.

        标明当前函数。
        """
        before, self.function = self.function, function
        try:
            yield
        finally:
            self.function = before


def recording() -> Recorder:
    """A recorder that hears every client which is made from now on.

    创建记录器。
    """
    recorder = Recorder()
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("before-parameter-build", recorder.note)
    return recorder


def _dynamodb(name: str, params: Mapping[str, Any]) -> set[Call]:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
    if name == "BatchGetItem":
        return {Call("dynamodb:BatchGetItem", arn + table) for table in params["RequestItems"]}
    if name == "TransactWriteItems":
        # Each part needs what it would need alone; ours are all puts.
        parts = [part["Put"] for part in params["TransactItems"]]
        return {Call("dynamodb:PutItem", arn + part["TableName"]) for part in parts}
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    return {Call(f"dynamodb:{name}", arn + params["TableName"] + index)}


_UPLOADS = {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}


_LISTS = {
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}


def _s3(name: str, params: Mapping[str, Any]) -> set[Call]:
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if name in _LISTS:
        return {Call(_LISTS[name], bucket)}
    thing = f"{bucket}/{params['Key']}"
    # Who reads must be able to learn that there is nothing: 404, not 403.
    reading = {Call("s3:GetObject", thing), Call("s3:ListBucket", bucket)}
    if name in ("GetObject", "HeadObject"):
        return reading
    if name == "CopyObject":
        source = f"arn:aws:s3:::{unquote(params['CopySource'])}"
        return {Call("s3:GetObject", source), Call("s3:PutObject", thing)}
    return {Call("s3:PutObject" if name in _UPLOADS else f"s3:{name}", thing)}


def _lambda(name: str, params: Mapping[str, Any]) -> set[Call]:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{params['FunctionName']}"
    return {Call("lambda:InvokeFunction" if name == "Invoke" else f"lambda:{name}", arn)}


def _ssm(name: str, params: Mapping[str, Any]) -> set[Call]:
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{params['Path']}"
    return {Call(f"ssm:{name}", arn)}


_NEEDS = {"dynamodb": _dynamodb, "s3": _s3, "lambda": _lambda, "ssm": _ssm}


@dataclass(frozen=True)
class Template:
    """template.yaml as it stands for one stack, under the conditions named true.

    某个栈的模板。
    """

    stack: str
    stage: str
    bucket: str
    true: frozenset[str] = frozenset({"SecretsInParameters"})

    def grants(self, function: str) -> set[Grant]:
        """All that a function's role allows, one action on one pattern each.

        某个函数的全部授权。
        """
        resources = self._document["Resources"]
        role = resources[function]["Properties"]["Role"]["GetAtt"].removesuffix(".Arn")
        statements = [
            self._plain(statement)
            for policy in resources[role]["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        return {
            Grant(action, resource)
            for statement in statements
            if statement is not None
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        }

    @property
    def functions(self) -> dict[str, str]:
        """Each function's name in the template by its folder.

        模板中的函数。
        """
        return {
            one["Properties"]["Handler"].split(".")[1]: label
            for label, one in self._document["Resources"].items()
            if one["Type"] == "AWS::Serverless::Function"
        }

    @property
    def _document(self) -> Any:
        return template.parse((ROOT / "template.yaml").read_text("utf-8"))

    def _plain(self, value: Any) -> Any:
        """The value without CloudFormation's functions; None where a condition leaves it out."""
        if isinstance(value, list):
            return [plain for item in value if (plain := self._plain(item)) is not None]
        if not isinstance(value, dict):
            return value
        if set(value) == {"If"}:
            condition, yes, no = value["If"]
            return self._plain(yes if condition in self.true else no)
        if set(value) == {"Ref"}:
            return self._known(value["Ref"])
        if set(value) == {"GetAtt"}:
            return self._known(value["GetAtt"])
        if set(value) == {"Sub"}:
            return re.sub(r"\$\{([^}]+)\}", lambda name: self._known(name[1]), value["Sub"])
        return {name: self._plain(item) for name, item in value.items()}

    def _known(self, name: str) -> Any:
        known = {
            "AWS::NoValue": None,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::StackName": self.stack,
            "Stage": self.stage,
            "Table.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self.stack}",
            "Bucket.Arn": f"arn:aws:s3:::{self.bucket}",
        }
        # What is left are the function's own log and dead letters.
        return known.get(name, f"arn:of:{name}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
