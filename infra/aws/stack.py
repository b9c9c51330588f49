"""template.yaml on the emulated AWS: what one machine makes different, and the deployment.

The emulator's CloudFormation gets the repository's own template. Two things differ there, and
`document` does both:

* the code is one zip, and the packages come from this checkout's virtual environment in place of
  layers (`_code_from`): to build layers takes minutes;
* further settings name what is on this machine, the stand-in say (`_settings_added`).

把 template.yaml 部署到本机的 AWS 模拟器。
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from infra.aws import package
from infra.paths import ROOT
from shared.aws.clients import client

STAGE = "local"
"""Only this stage may talk to loopback addresses and plain http."""
NAME = f"maquette-{STAGE}"
SECRETS = f"/maquette/{STAGE}"

_FUNCTION = "AWS::Serverless::Function"
_LAYERS = ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
_CODE = {"Bucket": f"{NAME}-code", "Key": "functions.zip"}
_LOOK = 0.1


class DeployError(OSError):
    """The stack could not be made; the message says which of its parts, and why.

    部署失败。
    """


def deploy(settings: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Deploy the template to the emulated AWS that this process's environment names; its outputs.

    `settings` go into every function's environment, `secrets` into Parameter Store, where the
    functions look for them. Raises `DeployError`.

    部署到模拟器。
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _deploy(settings, secrets)
    except (BotoCoreError, ClientError) as error:
        raise DeployError(f"the emulated AWS refuses the stack: {error}") from None


def _deploy(settings: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Make the stack with its code and secrets on the emulated AWS, and return its outputs.

    在模拟的 AWS 上部署整套资源。
    """
    for name, value in secrets.items():
        client("ssm").put_parameter(Name=f"{SECRETS}/{name}", Value=value, Type="SecureString")
    client("s3").create_bucket(Bucket=_CODE["Bucket"])
    client("s3").put_object(**_CODE, Body=package.code())
    wanted = document((ROOT / "template.yaml").read_text("utf-8"), settings)
    cloudformation = client("cloudformation", seconds=60.0)
    cloudformation.create_stack(
        StackName=NAME,
        TemplateBody=json.dumps(wanted),
        Parameters=_parameters(),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    _wait(cloudformation)
    outputs = cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["Outputs"]
    return {item["OutputKey"]: item["OutputValue"] for item in outputs}


def api_path(outputs: Mapping[str, str]) -> str:
    """Where the emulator answers for the HTTP API.

    Not at its root, by the API's host name: there it has pages of its own, /health among them.

    HTTP API 在模拟器上的路径。
    """
    return f"/_aws/execute-api/{outputs['ApiId']}/$default"


def document(template: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The template as JSON, with what this machine makes different.

    生成部署用的模板。
    """
    made: dict[str, Any] = yaml.load(template, _Loader)  # a SafeLoader that knows the tags
    _code_from(made, _CODE)
    _settings_added(made, settings)
    return made


def _code_from(made: dict[str, Any], code: Mapping[str, str]) -> None:
    resources = made["Resources"]
    for name in [name for name, item in resources.items() if item["Type"] in _LAYERS]:
        del resources[name]
    made["Globals"]["Function"].pop("Layers", None)
    for properties in _functions(made).values():
        properties.pop("Layers", None)
        properties["CodeUri"] = dict(code)
        _variables(properties)["PYTHONPATH"] = sysconfig.get_paths()["purelib"]


def _settings_added(made: dict[str, Any], settings: Mapping[str, str]) -> None:
    for properties in _functions(made).values():
        _variables(properties).update(settings)


def _functions(made: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: item["Properties"]
        for name, item in made["Resources"].items()
        if item["Type"] == _FUNCTION
    }


def _variables(properties: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = properties.setdefault("Environment", {}).setdefault("Variables", {})
    return found


def _parameters() -> list[dict[str, str]]:
    given = {"Stage": STAGE, "PythonRuntime": f"python{sys.version_info[0]}.{sys.version_info[1]}"}
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]


def _wait(cloudformation: Any) -> None:
    from botocore.exceptions import WaiterError

    waiter = cloudformation.get_waiter("stack_create_complete")
    try:
        waiter.wait(StackName=NAME, WaiterConfig={"Delay": _LOOK, "MaxAttempts": 600})
    except WaiterError:
        reasons = "; ".join(_reasons(cloudformation))
        raise DeployError(f"the emulated AWS cannot make the stack: {reasons}") from None


def _reasons(cloudformation: Any) -> Iterator[str]:
    events = cloudformation.describe_stack_events(StackName=NAME)["StackEvents"]
    for event in reversed(events):
        if event["ResourceStatus"].endswith("FAILED"):
            yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as `{"Ref": "X"}`, `!Sub X` as `{"Fn::Sub": "X"}` and so on."""


def _tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """Read one of CloudFormation's short tags as the long form that means the same.

    把短标签读成完整写法。
    """
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _tagged)
