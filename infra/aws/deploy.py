"""`./scripts/deploy aws`: build, show what will change, deploy, and see whether it works.

部署到 AWS：构建、预览变更、部署、检查。
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.aws import building, keys, smoke
from infra.paths import ROOT
from shared.aws import clients
from shared.aws.clients import client

RUNTIMES = ("python3.13", "python3.12")
"""Lambda's Pythons that all packages have wheels for."""
_POLLS = 8
"""The template's PollConcurrency."""
_MUST_STAY_FREE = 100
"""What AWS leaves unreserved in every account ("Configuring reserved concurrency")."""
_NO_LIMIT = "0"
_NAMES = re.compile(r"[a-z][a-z0-9-]{0,31}")


class DeployError(Exception):
    """What keeps a deployment from going on; the message says what to do.

    部署无法继续的原因。
    """


@dataclass(frozen=True)
class Plan:
    """What is to be deployed where. `parameters` are the template's, by name.

    一次部署的内容与目标。
    """

    stage: str
    region: str
    account: str
    parameters: Mapping[str, str]

    @property
    def stack(self) -> str:
        """The name of the stack, and the first part of all its functions' names.

        栈的名称。
        """
        return f"maquette-{self.stage}"

    @property
    def path(self) -> str:
        """Where in Parameter Store its secrets are.

        密钥在参数存储中的路径。
        """
        return f"/maquette/{self.stage}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; see --help. Returns the exit status.

    命令行入口。
    """
    options = _arguments(argv)
    try:
        return _deploy(options)
    except DeployError as error:
        print(f"./scripts/deploy: {error}", file=sys.stderr)
        return 1


def _deploy(options: argparse.Namespace) -> int:
    """Show the plan, build, deploy and try it; the exit status. Raises DeployError.

    构建、部署并检查。
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if not options.yes and not options.preview and not sys.stdin.isatty():
        raise DeployError("nobody is there to agree to the changes; say --yes (or --preview)")
    if options.region:
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = options.region
        clients.forget()
    try:
        plan = _plan(options)
        _say(f"account {plan.account}, region {plan.region}, stack {plan.stack}")
        if plan.parameters.get("PollConcurrency") == _NO_LIMIT:
            _say("polls at once: no limit (PollConcurrency=0)")
        if not options.preview:
            _secrets(plan)
        if not options.built:
            _build(plan)
        _sam_deploy(plan, options)
        return 0 if options.preview else _smoke(plan)
    except (BotoCoreError, ClientError) as error:
        raise DeployError(str(error)) from None


def _plan(options: argparse.Namespace) -> Plan:
    """Return what is deployed where: stage, region, account and parameters; raises DeployError.

    确定部署的目标与参数。
    """
    import boto3

    parameters = {"Stage": options.stage, **_given(options.set)}
    region = boto3.Session().region_name
    if not region:
        raise DeployError("in which region? Say --region, or set AWS_REGION")
    if "PythonRuntime" not in parameters:
        parameters["PythonRuntime"] = _runtime()
    if "PollConcurrency" not in parameters and not _can_reserve():
        parameters["PollConcurrency"] = _NO_LIMIT
    return Plan(options.stage, region, client("sts").get_caller_identity()["Account"], parameters)


def _can_reserve() -> bool:
    """Whether the account has executions to reserve for `poll`; a new one has ten in all."""
    limits = client("lambda").get_account_settings()["AccountLimit"]
    return bool(limits["UnreservedConcurrentExecutions"] >= _MUST_STAY_FREE + _POLLS)


def _secrets(plan: Plan) -> None:
    """Make the secrets that are missing; one that is there is never touched."""
    for name in keys.complete(plan.path, behind_cloudfront="WebAclArn" in plan.parameters):
        _say(f"made {plan.path}/{name}")
    if not plan.parameters.get("QwenImageUrl") and keys.missing_provider(plan.path):
        _say(f"no provider has a key yet; put Tripo's into {plan.path}/TRIPO_API_KEY:")
        _say(
            f"  aws ssm put-parameter --type SecureString --name {plan.path}/TRIPO_API_KEY "
            "--value tsk_…"
        )


def _build(plan: Plan) -> None:
    runtime = plan.parameters["PythonRuntime"]
    architecture = plan.parameters.get("Architecture", building.ARCHITECTURE)
    _say(f"building for {runtime} on {architecture} …")
    try:
        building.build(ROOT / ".aws-sam" / "build", runtime=runtime, architecture=architecture)
    except building.BuildError as error:
        raise DeployError(f"sam build failed:\n{error}") from None


def _sam_deploy(plan: Plan, options: argparse.Namespace) -> None:
    """Let SAM make the change set, show it, and execute it when it is agreed to.

    由 SAM 执行变更集。
    """
    folder = options.built or ".aws-sam/build"
    arguments = ["deploy", "--template-file", f"{folder}/template.yaml"]
    arguments += ["--stack-name", plan.stack, "--region", plan.region]
    arguments += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    arguments += ["--s3-bucket", options.artifacts] if options.artifacts else ["--resolve-s3"]
    arguments += ["--no-fail-on-empty-changeset", "--s3-prefix", plan.stack]
    if options.preview:
        arguments.append("--no-execute-changeset")
    arguments.append("--no-confirm-changeset" if options.yes else "--confirm-changeset")
    _sam(*arguments, *_overrides(plan))


def _smoke(plan: Plan) -> int:
    """Try what was deployed and say how it is reached; 1 if something is not well.

    检查部署结果并说明入口。
    """
    outputs = _outputs(plan.stack)
    faults = smoke.run(plan.stack, outputs["ApiUrl"], keys.an_api_key(plan.path), say=_say)
    if faults:
        for fault in faults:
            _say(f"NOT WELL  {fault}")
        return 1
    _say(f"Maquette is up at {outputs['ApiUrl']}, its guide at {outputs['ApiUrl']}/docs")
    _say("A caller's key (name:key; send what follows the colon as a bearer token):")
    _say(
        "  aws ssm get-parameter --with-decryption --query Parameter.Value --output text "
        f"--name {plan.path}/MAQUETTE_API_KEYS"
    )
    return 0


def _outputs(stack: str) -> dict[str, str]:
    found = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}


def _sam(*arguments: str) -> None:
    command = [str(building.SAM), *arguments]
    environ = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    status = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    if status:
        raise DeployError(f"sam {arguments[0]} ended with {status}; see above")


def _overrides(plan: Plan) -> list[str]:
    # Without this a parameter given before would be kept, not its default.
    return ["--parameter-overrides", *(f"{name}={plan.parameters[name]}" for name in _sorted(plan))]


def _sorted(plan: Plan) -> list[str]:
    return sorted(plan.parameters)


def _runtime() -> str:
    """The newest runtime that a Python here can compile for; raises `DeployError`.

    Not below 3.12: those run on Amazon Linux 2, whose C library the packages' wheels do not know.
    """
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for name in (own, *RUNTIMES):
        if name in RUNTIMES and (name == own or _runs(name)):
            return name
    raise DeployError(
        f"none of {', '.join(RUNTIMES)} is here to compile for Lambda; install one (or say "
        "--set PythonRuntime=…)"
    )


def _runs(python: str) -> bool:
    try:
        return (
            subprocess.run(
                [python, "-c", "import pip"], capture_output=True, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def _given(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isalnum():
            raise DeployError(f"--set {text}: write it as Name=value")
        pairs[name] = value
    return pairs


def _say(text: Any) -> None:
    print(text, file=sys.stderr, flush=True)


def _stage(text: str) -> str:
    if not _NAMES.fullmatch(text) or text == "local":
        raise argparse.ArgumentTypeError("small letters, digits and dashes; not local")
    return text


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="./scripts/deploy aws",
        description="Build Maquette, show what will change, deploy it, and see whether it works. "
        "Account and region are those of the AWS environment (AWS_PROFILE, AWS_REGION, …).",
    )
    parser.add_argument("--stage", required=True, type=_stage, help="dev, prod, …")
    parser.add_argument("--region", help="default: that of the environment")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml, AlarmEmail=me@example.com say",
    )
    parser.add_argument("--preview", action="store_true", help="only show what would change")
    parser.add_argument("--yes", action="store_true", help="do not ask before changing anything")
    parser.add_argument("--built", metavar="FOLDER", help="deploy what `sam build` put there")
    parser.add_argument(
        "--artifacts", metavar="BUCKET", help="where the code is put (default: SAM's own bucket)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
