"""What is deployed to the emulated AWS: the template but for what one machine makes different.

测试部署到模拟器的模板与代码包。
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

from infra.aws import package, stack, template
from infra.paths import ROOT

TEXT = (ROOT / "template.yaml").read_text("utf-8")
FUNCTION = "AWS::Serverless::Function"


def short(node: Any) -> Any:
    """`{"Fn::Sub": "X"}` as `{"Sub": "X"}`, the form in which `template.parse` keeps the tags."""
    if isinstance(node, list):
        return [short(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::GetAtt" in node:
        return {"GetAtt": ".".join(node["Fn::GetAtt"])}
    return {name.removeprefix("Fn::"): short(item) for name, item in node.items()}


def test_all_but_code_layers_and_settings_is_the_templates_own() -> None:
    made = short(stack.document(TEXT, {"TRIPO_BASE_URL": "http://127.0.0.1:1"}))
    wanted = template.parse(TEXT)
    layers = {
        name for name, item in wanted["Resources"].items() if item["Type"].endswith("LayerVersion")
    }
    assert layers
    for name in layers:
        del wanted["Resources"][name]
    changed = 0
    for name, item in wanted["Resources"].items():
        if item["Type"] == FUNCTION:
            changed += 1
            for document in (made["Resources"][name], item):
                for key in ("CodeUri", "Environment", "Layers"):
                    document["Properties"].pop(key, None)
    assert changed == 4
    assert made == wanted


def test_every_function_has_the_settings_and_this_pythons_packages() -> None:
    made = stack.document(TEXT, {"TRIPO_BASE_URL": "http://127.0.0.1:1"})
    functions = [item for item in made["Resources"].values() if item["Type"] == FUNCTION]
    for item in functions:
        variables = item["Properties"]["Environment"]["Variables"]
        assert variables["TRIPO_BASE_URL"] == "http://127.0.0.1:1"
        assert Path(variables["PYTHONPATH"]) == Path(sysconfig.get_paths()["purelib"])
        assert set(item["Properties"]["CodeUri"]) == {"Bucket", "Key"}


def test_the_code_is_functions_and_shared_with_compiled_files_that_hold(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package.code())) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"functions", "shared"}
        archive.extractall(tmp_path)
    # Even a source of another time and content leaves its compiled file in force.
    source = tmp_path / "shared" / "clock.py"
    source.write_text("raise SystemExit('compiled anew')\n")
    os.utime(source, (1, 1))
    command = [
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.path.insert(0, '.'); import shared.clock",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
