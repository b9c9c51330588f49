"""A deployment's secrets in Parameter Store: those it can make itself are made, once.

部署所需的密钥：缺少的自动生成，已有的绝不改动。
"""

from __future__ import annotations

from infra.keys import MADE, PROVIDERS, first_key, long_secret
from shared.aws.clients import client
from shared.aws.secrets import read

ORIGIN = "MAQUETTE_ORIGIN_SECRET"
"""What CloudFront adds to every request, where it stands in front of the API."""


def complete(path: str, *, behind_cloudfront: bool = False) -> list[str]:
    """Make the secrets that are missing under a path; their names.

    补齐缺少的密钥。
    """
    wanted = {**MADE, ORIGIN: long_secret} if behind_cloudfront else MADE
    made = sorted(set(wanted) - set(read(f"ssm://{path}")))
    for name in made:
        # CloudFormation writes this one into the distribution, and cannot read encrypted ones.
        kind = "String" if name == ORIGIN else "SecureString"
        # Without Overwrite the first of two who do this at once wins, and the other is told.
        client("ssm").put_parameter(Name=f"{path}/{name}", Value=wanted[name](), Type=kind)
    return made


def missing_provider(path: str) -> bool:
    """Whether no provider has a key there.

    是否没有任何生成服务的密钥。
    """
    return not set(PROVIDERS) & set(read(f"ssm://{path}"))


def an_api_key(path: str) -> str:
    """One caller's key, to try the deployment with; never shown.

    取一个调用方密钥用于检查。
    """
    return first_key(read(f"ssm://{path}")["MAQUETTE_API_KEYS"])
