"""Settings: every fault is named at once, no secret is ever shown, what is left out has a default.

测试设置的读取与检查。
"""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gpu_inference import settings as gpu_settings
from gpu_inference.settings import Settings as GpuSettings
from shared import config, misspelt, wiring
from shared.config import Settings, SettingsError, named_keys, read_dotenv
from shared.providers.declaration import HttpSettings, Timeouts

LINK = "link-secret-of-thirty-two-characters"
SIGNING = base64.b64encode(b"webhook-secret-of-32-characters!").decode()
KEY = "an-api-key-nobody-may-see"
TRIPO = "tsk_a-tripo-key-nobody-may-see"
GOOD = {
    "MAQUETTE_STORE_URL": "sqlite:///maquette.db",
    "MAQUETTE_BUCKET_URL": "file:///bucket",
    "MAQUETTE_LINK_SECRET": LINK,
    "MAQUETTE_WEBHOOK_SECRETS": f"whsec_{SIGNING}",
    "MAQUETTE_API_KEYS": f"shop:{KEY}",
    "TRIPO_API_KEY": TRIPO,
}
DEPLOYED = {**GOOD, "MAQUETTE_STAGE": "prod", "MAQUETTE_PUBLIC_URL": "https://maquette.example"}
PAIRS = config._NOT_ABOVE
HIDDEN = "zq7Xhush9Kzq"
"""Goes into every wrong secret below: nothing that is said may contain it."""

SECONDS = ["0", "-1", "soon", "nan", "inf", "2592001", "1e400"]
COUNTS = ["0", "-1", "many", "1.5", "nan", "999999999999"]
NUMBERS: dict[str, tuple[float, float, bool]] = {
    "jitter": (0, 0.9, False),
    "poll_factor": (1.0001, 10, False),
    "retry_factor": (1.0001, 10, False),
    "image_pixels": (1, 500_000_000, True),
    "image_min_side": (1, 10_000, True),
    "image_max_side": (1, 30_000, True),
    "prompt_characters": (1, 20_000, True),
    "artifact_link_seconds": (10, 7 * 24 * 3600, True),
    "wait_seconds": (0, 25, True),
    "poll_helpers": (0, 4, True),
}
for _name in Settings.model_fields:
    if _name.endswith("_seconds") and _name not in NUMBERS:
        NUMBERS[_name] = (0.001, 30 * 24 * 3600, False)
    if _name.endswith("_bytes"):
        NUMBERS[_name] = (1, 5 * 2**30, True)

NO_COS = ["cos:bucket", "cos://models", "cos://Models-1250000000", "cos://models-1250000000/x"]

WRONG: dict[str, list[str]] = {
    "stage": ["Prod!", "1st", "x" * 33],
    "log_level": ["LOUD", "debug"],
    "log_format": ["xml"],
    "metrics": ["on", "EMF"],
    "preview": ["yes", "Off"],
    "store_url": [
        "",
        "redis://cache",
        "maquette.db",
        "dynamodb:///table",
        "http://[::1",
        "mysql://db.internal/maquette",
        "mysql://user:password@db.internal",
        "mysql://user:pass@word@db.internal/maquette",
        "mysql://user:password@db.internal:port/maquette",
        "mysql://user:password@db.internal/maquette?charset=latin1",
        "mysql://user:password@db.internal/maquette?ssl_mode=DISABLED",
    ],
    "bucket_url": [
        "",
        "ftp://files",
        "/a/folder",
        "s3:bucket",
        "file://bucket/x",
        "file://",
        *NO_COS,
    ],
    "cos_acl": ["public", "public-read-write", "default"],
    "cos_encryption": ["aes", "KMS"],
    "wake_url": [
        "sqs://queue",
        "maquette-dev",
        "lambda://",
        "scf://",
        "scf://maquette-dev/poll",
        "scf://maquette-dev?namespace=",
        "scf://maquette-dev?region=ap-guangzhou",
        "scf://maquette-dev?namespace=a&namespace=b",
        "scf://user@maquette-dev",
    ],
    "secrets_url": [
        "vault://secrets",
        "ssm://maquette/dev",
        "secretsmanager://",
        "tencent-ssm://maquette-dev",
        "tencent-ssm:///",
        "tencent-ssm:///maquette/dev",
        "tencent-ssm:///maquette-dev?version=",
        "tencent-ssm:///maquette-dev?stage=dev",
    ],
    "public_url": ["maquette.example", "ftp://maquette.example", "https://maquette.example/?a=1"],
    "link_secret": ["", HIDDEN, f"{LINK},{HIDDEN}", f"{LINK},{LINK}", ","],
    "cors_origins": [
        "https://shop.example/",
        "https://shop.example/page",
        "shop.example",
        "https://*.shop.example",
        "https://Shop.example",
        "https://a.example,https://b.example?x",
        "null",
    ],
    "callback_hosts": [
        "*",
        "*.shop.example",
        "a.example,https://shop.example",
        "shop.example:8000",
        "shop.example/hook",
        "[::1]:80",
    ],
    "input_hosts": ["*", "https://shop.example", "shop.example:8000", "[::1]:80"],
    "origin_secret": [HIDDEN],
    "webhook_secrets": [
        "",
        HIDDEN,
        f"whsec_{HIDDEN}",
        f"whsec_{SIGNING},whsec_{HIDDEN}",
        f"whsec_{SIGNING},whsec_{SIGNING}",
    ],
    "api_keys": [
        f"{HIDDEN}forgot-the-name-before-it",
        f"{HIDDEN}:short",
        f"shop:{HIDDEN}",
        f"a shop:{HIDDEN}-and-long-enough",
        f":{HIDDEN}-and-long-enough",
        f"{HIDDEN}:{KEY},{HIDDEN}:{KEY}",
        f"shop:{HIDDEN}-and-long-enough,museum:{HIDDEN}-and-long-enough",
    ],
    "TRIPO_API_KEY": [HIDDEN, f"{TRIPO},{HIDDEN}", f"tsk_ä{HIDDEN}", f"{TRIPO},{TRIPO}"],
    "TRIPO_BASE_URL": [
        "tripo.example",
        "https://tripo.example/?key=1",
        "https://user@tripo.example",
        "https://tripo.example:port",
        "https://[::1",
    ],
    "QWEN_IMAGE_BASE_URL": [
        "gpu.internal:9000",
        "ftp://gpu.internal",
        "http://gpu.internal/?key=1",
        "http://user@gpu.internal",
        "http://[::1",
    ],
    "QWEN_IMAGE_API_KEY": [
        f"{HIDDEN} and more",
        f"ä{HIDDEN}",
        HIDDEN * 50,
        f"{HIDDEN}:read",
        f"one:{HIDDEN},two:{HIDDEN}",
    ],
    "image_formats": ["image/gif", "image/png,text/plain", ","],
    "optional_providers": ["midjourney", f"tripo,{HIDDEN}"],
}
for _provider in ("TRIPO", "QWEN_IMAGE"):
    for _name in ("CONNECT", "READ", "WRITE"):
        WRONG[f"{_provider}_{_name}_SECONDS"] = ["0.09", "-1", "301", "soon", "nan", "inf"]
    WRONG[f"{_provider}_TOTAL_SECONDS"] = ["0.9", "3601", "soon", "nan"]
    WRONG[f"{_provider}_TRIES"] = ["0", "11", "1.5", "often"]
for _name, (_, _, _whole) in NUMBERS.items():
    WRONG[_name] = COUNTS if _whole else SECONDS
WRONG["wait_seconds"] = ["-1", "26", "soon"]
WRONG["poll_helpers"] = ["-1", "5", "few", "0.5"]
WRONG["jitter"] = ["-0.1", "0.91", "some", "nan"]
WRONG["poll_factor"] = WRONG["retry_factor"] = ["1", "10.5", "fast", "nan"]

wrong_settings = st.dictionaries(
    st.sampled_from(sorted(set(WRONG) - {"stage"})), st.none()
).flatmap(
    lambda chosen: st.fixed_dictionaries({name: st.sampled_from(WRONG[name]) for name in chosen})
)


def variable_of(name: str) -> str:
    """The variable of one of our own fields; a provider's is named by its variable already."""
    return name if name.isupper() else config.variable_of(name)


def faults_of(environ: Mapping[str, str]) -> SettingsError | None:
    try:
        config.load(environ)
    except SettingsError as error:
        return error
    return None


def variables(error: SettingsError | None) -> list[str]:
    return [] if error is None else sorted(fault.split()[0].rstrip(":") for fault in error.faults)


def test_every_setting_is_part_of_these_tests() -> None:
    assert set(map(variable_of, WRONG)) == set(config.variables())
    assert variables(faults_of(GOOD)) == variables(faults_of(DEPLOYED)) == []


@given(wrong_settings)
def test_exactly_the_wrong_settings_are_named_all_at_once(wrong: dict[str, str]) -> None:
    given_values = {variable_of(name): value for name, value in wrong.items()}
    error = faults_of({**GOOD, **given_values})
    assert variables(error) == sorted(given_values)
    if error is not None:
        report = error.report()
        assert f" {len(wrong)} setting(s) " in report
        assert all(report.count(f"- {name}") == 1 for name in given_values)


@pytest.mark.parametrize("value", WRONG["stage"])
def test_a_wrong_stage_is_named(value: str) -> None:
    assert variables(faults_of({**DEPLOYED, "MAQUETTE_STAGE": value})) == ["MAQUETTE_STAGE"]


@given(wrong_settings)
def test_no_secret_is_in_what_is_said_of_wrong_settings(wrong: dict[str, str]) -> None:
    error = faults_of({**GOOD, **{variable_of(name): value for name, value in wrong.items()}})
    if error is None:
        return
    said = "\n".join(
        [*error.faults, error.report(), str(error), repr(error), *traceback.format_exception(error)]
    )
    for secret in (HIDDEN, LINK, SIGNING, KEY, TRIPO):
        assert secret not in said


def test_no_secret_is_in_the_settings_written_out(caplog: pytest.LogCaptureFixture) -> None:
    database = "sqlite://maquette:a-database-password@db.internal/maquette"
    settings = config.load({**DEPLOYED, "MAQUETTE_STORE_URL": database})
    assert settings.store_url == database
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").error("with %s and %r", settings, settings)
    for text in (repr(settings), str(settings), f"{settings}", caplog.text):
        assert "stage='prod'" in text
        for secret in (LINK, SIGNING, KEY, TRIPO, "a-database-password"):
            assert secret not in text


@given(st.data())
def test_a_number_in_its_range_is_taken_as_it_is(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(NUMBERS)))
    low, high, whole = NUMBERS[name]
    number: float
    if whole:
        number = data.draw(st.integers(int(low), int(high)))
    else:
        number = data.draw(st.floats(low, high, allow_nan=False))
    # Where it has a partner that it must fit, the partner is the same.
    partners = {one for pair in PAIRS if name in pair for one in pair}
    set_to = dict.fromkeys(map(variable_of, {name, *partners}), repr(number))
    error = faults_of({**GOOD, **set_to})
    if error is None:
        assert getattr(config.load({**GOOD, **set_to}), name) == number
    else:
        # Too large for its partner alone.
        assert variable_of(name) not in variables(error)


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_a_least_above_its_most_is_named_with_both(low: str, high: str) -> None:
    given_values = {variable_of(low): "30", variable_of(high): "29"}
    error = faults_of({**GOOD, **given_values})
    assert variables(error) == [variable_of(low)]
    assert variable_of(high) in str(error)
    # Beside other faults it is named as well, but not where one of the two is wrong by itself.
    assert len(variables(faults_of({**GOOD, **given_values, "MAQUETTE_JITTER": "7"}))) == 2
    alone = faults_of({**GOOD, **given_values, variable_of(high): "many"})
    assert variables(alone) == [variable_of(high)]
    assert faults_of({**GOOD, **given_values, variable_of(high): "30"}) is None


def test_a_default_counts_in_a_pair_as_well() -> None:
    error = faults_of({**GOOD, "MAQUETTE_IMAGE_MAX_SIDE": "10"})
    assert "MAQUETTE_IMAGE_MIN_SIDE (20) must not be above" in str(error)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAQUETTE_WEBHOOK_SECRET", "MAQUETTE_WEBHOOK_SECRETS"),
        ("MAQUETTE_PUBLIC_URI", "MAQUETTE_PUBLIC_URL"),
        ("MAQUETTE_CALLBACK_HOST", "MAQUETTE_CALLBACK_HOSTS"),
        ("TRIPO_API_KEYS", "TRIPO_API_KEY"),
        ("TRIPO_BASE_URI", "TRIPO_BASE_URL"),
        ("QWEN_IMAGE_BASE_URI", "QWEN_IMAGE_BASE_URL"),
        ("QWEN_IMAGE_READS_SECONDS", "QWEN_IMAGE_READ_SECONDS"),
        ("TRIPO_CONNECT_SECOND", "TRIPO_CONNECT_SECONDS"),
        ("MAQUETTE_ZZZZZZZZ", None),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(name: str, meant: str | None) -> None:
    error = faults_of({**GOOD, name: "x"})
    assert variables(error) == [name]
    assert (f"did you mean {meant}?" in str(error)) is (meant is not None)
    assert variables(faults_of({**GOOD, name: "x", "MAQUETTE_JITTER": "7"})) == sorted(
        [name, "MAQUETTE_JITTER"]
    )
    assert faults_of({**GOOD, name: ""}) is None


def test_names_of_others_are_not_ours_to_refuse() -> None:
    services = {f"{gpu_settings.PREFIX}{name.upper()}": "1" for name in GpuSettings.model_fields}
    theirs = {"TRIPO_PLANNER_HOME": "/", "QWEN_HOME": "/", "MAQUETTE_TEST_X": "7", "MAQUETTES": "7"}
    for name in services.keys() & set(config.variables()):
        del services[name]
    assert faults_of({**GOOD, **services, **theirs, "MAQUETTE_HOME": "/x"}) is None
    assert {name.upper() for name in GpuSettings.model_fields} == misspelt._SERVICE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wake_url", "scf://maquette-dev"),
        ("wake_url", "scf://maquette-dev?namespace=shop_1"),
        ("secrets_url", "tencent-ssm:///maquette-dev"),
        ("secrets_url", "tencent-ssm:///maquette-dev?version=v1.2"),
        ("metrics", "cls"),
        ("store_url", "mysql://maquette:p%40ss@10.0.0.5:3306/maquette"),
        (
            "store_url",
            "mysql://maquette@db/maquette?ssl_mode=VERIFY_IDENTITY&ssl_ca=/var/user/ca.pem",
        ),
    ],
)
def test_what_tencent_cloud_calls_for_is_taken(name: str, value: str) -> None:
    assert getattr(config.load({**DEPLOYED, variable_of(name): value}), name) == value


def test_the_schemes_are_those_that_there_is_an_adapter_for() -> None:
    wired = {
        "store_url": wiring.STORES,
        "bucket_url": wiring.BUCKETS,
        "wake_url": wiring.WAKERS,
        "secrets_url": wiring.SECRETS,
    }
    assert {name: set(known) for name, known in config.SCHEMES.items()} == {
        name: set(adapters) for name, adapters in wired.items()
    }


@pytest.mark.parametrize("provider", ["tripo", "qwen-image"])
def test_how_long_a_provider_is_waited_for_can_be_set(provider: str) -> None:
    prefix = provider.upper().replace("-", "_")
    told = {"CONNECT_SECONDS": "0.5", "READ_SECONDS": "7", "WRITE_SECONDS": "8.5"}
    told |= {"TOTAL_SECONDS": "90", "TRIES": "1"}
    settings = config.load({**GOOD, **{f"{prefix}_{name}": one for name, one in told.items()}})
    found = settings.providers[provider]
    assert isinstance(found, HttpSettings)
    assert found.timeouts() == Timeouts(connect=0.5, read=7, write=8.5, total=90, tries=1)
    (other,) = (one for name, one in settings.providers.items() if name != provider)
    assert isinstance(other, HttpSettings)
    assert other.timeouts() == Timeouts()


def test_several_link_secrets_may_be_listed_the_newest_first() -> None:
    old, new = "o" * 32, "n" * 32
    settings = config.load({**GOOD, "MAQUETTE_LINK_SECRET": f"{new} , {old}"})
    assert wiring.link_secrets(settings) == [new.encode(), old.encode()]


@given(st.sets(st.sampled_from(sorted(set(config.variables()) - {"MAQUETTE_STAGE"}))))
def test_an_empty_value_is_no_value(names: set[str]) -> None:
    without = {name: value for name, value in GOOD.items() if name not in names}
    empty = {**GOOD, **dict.fromkeys(names, "")}
    assert variables(faults_of(empty)) == variables(faults_of(without))
    if faults_of(without) is None:
        assert config.load(empty) == config.load(without)


def test_only_four_things_must_be_set_on_one_machine() -> None:
    assert variables(faults_of({})) == [
        "MAQUETTE_BUCKET_URL",
        "MAQUETTE_LINK_SECRET",
        "MAQUETTE_STORE_URL",
        "MAQUETTE_WEBHOOK_SECRETS",
    ]


@pytest.mark.parametrize("keys", [None, "", " ", ",", " , ,"])
@pytest.mark.parametrize("url", [None, "", "http://maquette.example"])
def test_elsewhere_nothing_starts_without_keys_and_a_safe_address(
    keys: str | None, url: str | None
) -> None:
    given_values = {"MAQUETTE_API_KEYS": keys, "MAQUETTE_PUBLIC_URL": url}
    environ = {
        **{name: value for name, value in DEPLOYED.items() if name not in given_values},
        **{name: value for name, value in given_values.items() if value is not None},
    }
    assert variables(faults_of(environ)) == ["MAQUETTE_API_KEYS", "MAQUETTE_PUBLIC_URL"]
    # Beside other faults these two are named as well.
    error = faults_of({**environ, "MAQUETTE_JITTER": "7"})
    assert variables(error) == ["MAQUETTE_API_KEYS", "MAQUETTE_JITTER", "MAQUETTE_PUBLIC_URL"]
    assert variables(faults_of({**environ, "MAQUETTE_STAGE": "local"})) == []


def test_what_is_given_goes_before_the_environment() -> None:
    settings = config.load(DEPLOYED, stage="local", jitter=0.5, public_url="http://127.0.0.1:1/")
    assert settings.is_local
    assert settings.jitter == 0.5
    assert settings.policy().jitter == 0.5
    assert settings.public_url == "http://127.0.0.1:1"


def test_lists_are_separated_by_commas_and_blanks_around_them_do_not_matter() -> None:
    more = {"MAQUETTE_CALLBACK_HOSTS": " a.example , b.example,", "TRIPO_API_KEY": "tsk_a , tsk_b"}
    settings = config.load({**GOOD, **more})
    assert settings.callback_hosts == ("a.example", "b.example")
    assert [key.get_secret_value() for key in settings.by_variable()["TRIPO_API_KEY"]] == [
        "tsk_a",
        "tsk_b",
    ]


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
keys = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=16, max_size=40)


@given(st.dictionaries(names, keys).filter(lambda known: len({*known.values()}) == len(known)))
def test_api_keys_are_found_by_their_callers_names(known: dict[str, str]) -> None:
    listed = ",".join(f"{name}:{key}" for name, key in known.items())
    settings = config.load({**GOOD, "MAQUETTE_API_KEYS": listed})
    assert named_keys(settings.api_keys) == known


@pytest.mark.parametrize("entry", WRONG["api_keys"])
def test_a_wrong_api_key_is_named_by_its_place_alone(entry: str) -> None:
    entries = tuple(SecretStr(one) for one in f"other:{KEY},{entry}".split(","))
    with pytest.raises(ValueError, match=r"entry [23]") as raised:
        named_keys(entries)
    assert HIDDEN not in str(raised.value)


def test_a_key_may_hold_colons() -> None:
    assert named_keys((SecretStr("shop:0123456789:abcdef"),)) == {"shop": "0123456789:abcdef"}


def test_a_dotenv_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n"
        "MAQUETTE_JITTER=0.2  # behind a value\n"
        "export TRIPO_API_KEY='tsk_quoted'\n"
        'MAQUETTE_CORS_ORIGINS="https://店.example"\n'
        "MAQUETTE_STAGE=\n"
        "ONLY_A_NAME\n",
        "utf-8",
    )
    assert read_dotenv(path) == {
        "MAQUETTE_JITTER": "0.2",
        "TRIPO_API_KEY": "tsk_quoted",
        "MAQUETTE_CORS_ORIGINS": "https://店.example",
        "MAQUETTE_STAGE": "",
    }
    settings = config.load({**GOOD, **read_dotenv(path)})
    assert settings.cors_origins == ("https://店.example",)
    assert settings.is_local


def test_without_a_dotenv_file_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}
    assert read_dotenv(tmp_path) == {}


def test_the_environment_of_this_process_is_the_usual_one(monkeypatch: Any) -> None:
    for name in config.variables():
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert config.load() == config.load(GOOD)
