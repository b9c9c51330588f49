"""The functions' roles in CAM: made once, changed where policies change, whatever interrupts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.tencent import permissions
from infra.tencent.deploy import cloud, roles
from infra.tencent.deploy.errors import DeployError
from infra.tencent.service import Service, read
from shared.tencent.clients import TencentError
from tests.unit.tencent.accounts import Account
from tests.unit.tencent.test_deploy import Died, at, die, lose, refuse

FUNCTIONS = ("api", "poll", "postprocess", "callback", "migrate")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account], Account]:
    def use(account: Account) -> Account:
        monkeypatch.setattr(cloud, "call", account.call)
        return account

    return use


@pytest.fixture
def account(use: Callable[[Account], Account]) -> Account:
    return use(Account())


@pytest.fixture(scope="module")
def service() -> Service:
    return read("dev", environ={"TENCENTCLOUD_APPID": "1250000000"})


def make(account: Account, of: Service) -> list[str]:
    """Make the roles; what was done, in words."""
    wanted = roles.wanted(of, roles.account(of, account.cloud))
    steps = roles.plan(wanted, account.cloud)
    for step in steps:
        roles.do(step, account.cloud)
    return [step.words for step in steps]


def test_each_function_has_a_role_with_its_policy_and_scf_may_take_it_on(
    account: Account, service: Service
) -> None:
    assert len(make(account, service)) == 3 * len(FUNCTIONS)
    assert set(account.cam.roles) == {f"maquette-dev-{key}" for key in FUNCTIONS}
    for key in FUNCTIONS:
        name = service.functions[key].role
        assert account.cam.attached[name] == [name]
        assert "scf.qcloud.com" in account.cam.roles[name]["PolicyDocument"]
    held = json.loads(account.cam.policies["maquette-dev-migrate"]["document"])
    assert held["statement"] == [
        {
            "effect": "allow",
            "action": ["ssm:GetSecretValue"],
            "resource": [
                "qcs::ssm:ap-guangzhou:uin/100000000001:secret/creatorUin/100000000002/"
                "maquette-dev-migrate"
            ],
        }
    ]
    assert make(account, service) == []


def test_a_policy_that_is_another_one_is_changed_and_what_else_a_role_has_stays(
    account: Account, service: Service
) -> None:
    make(account, service)
    own = account.cam.answer(
        "CreatePolicy",
        {
            "PolicyName": "maquette-dev-poll-more",
            "PolicyDocument": '{"version": "2.0", "statement": []}',
        },
    )
    given = {"AttachRoleName": "maquette-dev-poll", "PolicyId": own["PolicyId"]}
    account.cam.answer("AttachRolePolicy", given)
    account.cam.policies["maquette-dev-poll"]["document"] = '{"version": "2.0", "statement": []}'
    assert make(account, service) == ["policy maquette-dev-poll: change it"]
    assert account.cam.attached["maquette-dev-poll"] == [
        "maquette-dev-poll",
        "maquette-dev-poll-more",
    ]


def test_a_call_that_fails_leaves_what_the_next_run_finishes(
    use: Callable[[Account], Account], service: Service
) -> None:
    whole = use(Account())
    make(whole, service)
    for place, fault in (("before", refuse), ("after", lose), ("after", die)):
        for number in range(len(whole.calls)):
            account = use(Account())
            setattr(account, place, at(number, fault))
            with pytest.raises((DeployError, TencentError, Died)):
                make(account, service)
            make(account, service)
            assert account.cam.attached == whole.cam.attached, (place, number)
            assert account.cam.policies == whole.cam.policies, (place, number)


def test_a_function_that_is_an_image_has_a_role_that_may_do_nothing(
    account: Account, service: Service
) -> None:
    image = service.functions["qwen-image"]
    named = replace(image, image={**(image.image or {}), "imageUri": "ccr.example/a:1"})
    of = replace(service, functions={**service.functions, "qwen-image": named})
    assert "role maquette-dev-qwen-image: create it, for SCF to take on" in make(account, of)
    assert account.cam.attached["maquette-dev-qwen-image"] == []


def test_a_bucket_of_another_account_is_refused(account: Account) -> None:
    of = read("dev", environ={"TENCENTCLOUD_APPID": "1259999999"})
    with pytest.raises(DeployError, match="whose APPID is 1250000000"):
        make(account, of)
    assert not account.cam.roles


@pytest.mark.parametrize("function", permissions.functions())
def test_a_policy_fits_what_cam_takes(function: str) -> None:
    whose = permissions.Account("ap-hongkong", "1250000000000", "1" * 14, "2" * 14)
    made = permissions.policy(
        function, whose, prefix=f"maquette-{'s' * 32}", bucket=f"{'b' * 50}-1250000000000"
    )
    assert len(json.dumps(made, separators=(",", ":"))) <= 6144
    assert "$" not in json.dumps(made)
