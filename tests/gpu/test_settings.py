"""Settings: who overrides whom, and every fault named at once, without its value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gpu_inference.http.requests import faults
from gpu_inference.settings import Settings, SettingsError, load

CONFIG = Path(__file__).parents[2] / "gpu_inference" / "config.yaml"


def test_defaults_then_the_file_then_the_environment_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: from-file\nport: 1111\nsteps: 11\nqueue_size: 11\n")
    environ = {"QWEN_IMAGE_PORT": "2222", "QWEN_IMAGE_STEPS": "22"}
    settings = load(["--config", str(file), "--steps", "33"], environ)
    assert settings.model == "from-file"
    assert (settings.queue_size, settings.port, settings.steps) == (11, 2222, 33)
    assert settings.batch_size == Settings.model_fields["batch_size"].default


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: here\n")
    assert load([], {"QWEN_IMAGE_CONFIG": str(file)}).model == "here"


def test_every_fault_is_named_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("colour: red\nqueue_size: many\n")
    with pytest.raises(SettingsError) as refused:
        load(
            ["--config", str(file), "--width", "100"],
            {"QWEN_IMAGE_PORT": "99999", "QWEN_IMAGE_API_KEYS": "secret-1"},
        )
    faults = refused.value.faults
    for expected in (
        f"'colour' in {file}: no such setting",
        f"queue_size in {file}: ",
        "--width: ",
        "QWEN_IMAGE_PORT: ",
        "model is not set",
    ):
        assert [fault for fault in faults if fault.startswith(expected)], (expected, faults)
    assert len(faults) == 5
    assert "secret-1" not in refused.value.report()


def test_settings_that_contradict_each_other_are_all_named() -> None:
    flags = [
        "--model",
        "m",
        "--min-side",
        "512",
        "--max-side",
        "256",
        "--steps",
        "200",
        "--lora-file",
        "x",
    ]
    with pytest.raises(SettingsError) as refused:
        load(flags, {})
    assert len(refused.value.faults) >= 4


def test_keys_may_be_a_list_or_separated_by_commas_and_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: m\napi_keys: [one, two]\n")
    assert load(["--config", str(file)], {}).api_keys == ("one", "two")
    settings = load(["--model", "m"], {"QWEN_IMAGE_API_KEYS": " one, two ,"})
    assert settings.api_keys == ("one", "two")
    assert "two" not in repr(settings)


def test_a_switch_can_be_turned_on_and_off_by_flag(tmp_path: Path) -> None:
    assert load(["--model", "m", "--fp8"], {}).fp8
    assert not load(["--model", "m", "--no-fp8"], {"QWEN_IMAGE_FP8": "true"}).fp8


@pytest.mark.parametrize("content", ["- a list", "a: [", "\x00"])
def test_an_unreadable_file_is_a_fault_like_any_other(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        load(["--config", str(file), "--model", "m"], {})


def test_the_shipped_file_lists_every_setting_with_its_default() -> None:
    listed = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert set(listed) == set(Settings.model_fields)
    assert load(["--config", str(CONFIG), "--model", "m"], {}) == Settings(model="m")


def test_the_command_ends_with_status_2_and_all_faults_before_it_imports_torch() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gpu_inference", "--port", "x"],
        cwd=CONFIG.parents[1],
        env={},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "2 setting(s) are wrong" in ended.stderr
    assert "| torch\n" not in ended.stderr


def ask(**changes: float) -> list[str]:
    usual = {"width": 64, "height": 64, "steps": 4, "guidance": 4.0}
    settings = Settings(model="m", max_pixels=512 * 512, width=512, height=512)
    return [fault.param for fault in faults(settings, **{**usual, **changes})]  # type: ignore[arg-type]


def test_what_is_within_the_bounds_has_no_fault() -> None:
    assert ask() == ask(strength=1.0, n=10) == ask(width=512, height=512) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"width": 100}, ["width"]),
        ({"height": 65}, ["height"]),
        ({"width": 48, "height": 2768}, ["width", "height"]),
        ({"width": 528, "height": 512}, ["width"]),
        ({"steps": 1}, ["steps"]),
        ({"steps": 101}, ["steps"]),
        ({"guidance": float("nan")}, ["guidance"]),
        ({"guidance": 0.5}, ["guidance"]),
        ({"n": 0}, ["n"]),
        ({"strength": 0.0}, ["strength"]),
        ({"strength": float("nan")}, ["strength"]),
        ({"strength": 0.2}, ["strength"]),
        ({"steps": 1, "n": 11, "width": 1}, ["width", "steps", "n"]),
    ],
)
def test_what_is_out_of_bounds_is_named(changes: dict[str, float], named: list[str]) -> None:
    assert ask(**changes) == named


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(["--help"], {})
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        part = told.rpartition(f" {flag} ")[2] if field.annotation is not bool else told
        assert flag in told
        assert len(part.partition(" --")[0].partition("(default")[0].split()) >= 2, name
    assert "pictures that may wait; beyond, 429 (default: 64)" in told
