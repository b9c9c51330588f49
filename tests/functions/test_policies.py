"""Least privilege on AWS: what template.yaml's roles allow is what the functions were seen to do.

Every request to the emulated AWS is noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from infra.aws import tables
from infra.aws.emulator import Emulator
from shared import wiring
from shared.aws import clients
from shared.buckets.s3 import PART
from tests.functions import everything
from tests.functions.everything import SECRETS, SETTINGS, Stack, do_everything, faults, the_provider
from tests.policies import PLATFORM, Recorder, Template, recording

STAGE = "test"


@dataclass
class AwsStack(Stack):
    """A deployment on the emulated AWS."""

    recorder: Recorder

    timer: ClassVar[Mapping[str, Any]] = {"detail-type": "Scheduled Event"}

    @contextmanager
    def turn(self, function: str) -> Iterator[None]:
        if function:
            self.environ.setenv("AWS_LAMBDA_FUNCTION_NAME", f"{self.name}-{function}")
        with self.recorder.turn(function):
            yield

    def put(self, key: str) -> None:
        with self.turn(""):
            clients.client("s3").put_object(Bucket=self.bucket, Key=key, Body=b"x")

    def begin_upload(self, key: str) -> None:
        with self.turn(""):
            clients.client("s3").create_multipart_upload(Bucket=self.bucket, Key=key)

    def left(self) -> list[str]:
        with self.turn(""):
            s3 = clients.client("s3")
            listed = s3.list_objects_v2(Bucket=self.bucket)["Contents"]
            begun = s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [item["Key"] for item in (*listed, *begun) if item["Key"].endswith("left")]

    def lose_parts(self) -> None:
        def lose(**_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="http://nowhere")

        boto3.DEFAULT_SESSION.events.register("before-call.s3.UploadPart", lose)
        clients.forget()


@pytest.fixture
def stack(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsStack]:
    assert PART == everything.PART
    name = f"policy-{uuid4().hex[:8]}"
    path = f"/maquette/{STAGE}-{name}"
    settings = {
        "MAQUETTE_STORE_URL": tables.create(name),
        "MAQUETTE_BUCKET_URL": f"s3://{name}",
        "MAQUETTE_WAKE_URL": f"lambda://{name}",
        "MAQUETTE_SECRETS_URL": f"ssm://{path}",
        **SETTINGS,
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    clients.client("s3").create_bucket(Bucket=name)
    for variable, value in SECRETS.items():
        clients.client("ssm").put_parameter(
            Name=f"{path}/{variable}", Value=value, Type="SecureString"
        )
    clients.forget()
    yield AwsStack(name, name, the_provider(monkeypatch), monkeypatch, recording())
    wiring.install(None)
    boto3.DEFAULT_SESSION = None
    clients.forget()
    tables.drop(name)


def test_each_function_may_do_what_it_does_and_nothing_else(stack: AwsStack) -> None:
    do_everything(stack)
    template = Template(stack.name, f"{STAGE}-{stack.name}", stack.bucket)
    assert set(template.functions) == set(stack.recorder.calls) - {""}
    grants = {
        function: {one for one in template.grants(label) if one.action not in PLATFORM}
        for function, label in template.functions.items()
    }
    found = faults(stack.recorder.calls, grants)
    assert not found, "\n".join(found)
