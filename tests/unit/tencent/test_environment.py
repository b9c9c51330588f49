"""A function's environment on SCF stays below 4 KB, with the longest values there may be."""

from __future__ import annotations

import re

import pytest

from infra.paths import ROOT
from infra.tencent import environment, service
from infra.tencent.service import ServiceError
from shared.config import Settings, variables

LONGEST = {
    "TENCENTCLOUD_APPID": "1" * 12,
    "TENCENTCLOUD_REGION": "ap-shenzhen-fsi-and-further",
    "TENCENT_BUCKET": "b" * 50 + "-" + "1" * 12,  # a bucket's name has 60 characters at most
    "MAQUETTE_PUBLIC_URL": "https://" + "p" * 120,
    "MAQUETTE_CORS_ORIGINS": ",".join(f"https://{n:02}.{'o' * 44}.example" for n in range(16)),
    "MAQUETTE_LOG_LEVEL": "WARNING",
    "MAQUETTE_POLL_HELPERS": "4",
    "TRIPO_BASE_URL": "https://" + "t" * 120,
    "QWEN_IMAGE_BASE_URL": "https://" + "q" * 120,
    "TENCENT_VPC_ID": "vpc-" + "v" * 20,
    "TENCENT_SUBNET_ID": "subnet-" + "s" * 20,
    "TENCENT_GPU_IMAGE": "i" * 200,
}
STAGE = "s" * 32
"""As long as the setting lets a stage's name be."""


def test_every_function_starts_with_the_longest_values_of_everything() -> None:
    functions = service.read(STAGE, environ=LONGEST).functions
    assert {"api", "poll", "postprocess", "callback", "migrate"} <= set(functions)
    for one in functions.values():
        assert environment.fault(one.environment) is None, one.key
    # And every value above is really in there.
    api = functions["api"].environment
    assert set(api) >= {name for name in LONGEST if name in variables()}


def test_there_is_room_for_every_setting_that_is_no_secret() -> None:
    api = service.read("dev", environ={"TENCENTCLOUD_APPID": "1250000000"}).functions["api"]
    told = re.findall(r"^# ([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.M)
    usual = {name: value for name, value in told if value and name in variables()}
    assert len(usual) > 40
    assert environment.fault({**usual, **api.environment}) is None


def test_no_secret_is_in_an_environment() -> None:
    secret = {f"MAQUETTE_{name.upper()}" for name in Settings.model_fields if _is_secret(name)}
    assert {"MAQUETTE_STORE_URL", "MAQUETTE_LINK_SECRET", "MAQUETTE_API_KEYS"} <= secret
    given = {**LONGEST, **dict.fromkeys(secret | {"TRIPO_API_KEY", "QWEN_IMAGE_API_KEY"}, "x" * 40)}
    for one in service.read("dev", environ=given).functions.values():
        assert not [name for name in one.environment if name.endswith("API_KEY")], one.key
        assert not secret & set(one.environment), one.key


def _is_secret(name: str) -> bool:
    field = Settings.model_fields[name]
    return not field.repr or "SecretStr" in str(field.annotation)


def test_what_is_too_long_is_told_before_anything_is_sent_by_name_and_not_by_value() -> None:
    origins = ",".join(f"https://{n:03}.example" for n in range(250))
    with pytest.raises(ServiceError) as raised:
        service.read("dev", environ={**LONGEST, "MAQUETTE_CORS_ORIGINS": origins})
    told = str(raised.value)
    assert "functions.api.environment" in told
    assert f"MAQUETTE_CORS_ORIGINS ({len(origins)} bytes)" in told
    assert "001.example" not in told


def test_room_is_kept_for_the_address_that_only_the_deployer_knows() -> None:
    most = environment.MOST_BYTES
    assert environment.fault({"A": "x" * (most - 1 - environment.KEPT_BYTES)}) is None
    assert environment.fault({"A": "x" * (most - environment.KEPT_BYTES)}) is not None
    address = {"MAQUETTE_PUBLIC_URL": "https://a.example"}
    rest = most - environment.size(address) - 1
    assert environment.fault({**address, "A": "x" * rest}) is None
    assert environment.fault({**address, "A": "木" * (rest // 3 + 1)}) is not None


@pytest.mark.parametrize("name", ["SCF_REGION", "QCLOUD_X", "TENCENTCLOUD_REGION"])
def test_names_of_the_platform_are_left_to_it(name: str) -> None:
    assert str(environment.fault({"MAQUETTE_STAGE": "dev", name: "x"})).startswith(name)
    assert environment.fault({"TENCENT_ENDPOINT": "x"}) is None
