"""Our pictures beside three.js's at the same camera: `python -m scripts.bench.pictures [FILE …]`.

Per model and light setup: the masks' intersection over union, and the mean colour difference within
both masks, 0..255 in sRGB, after one exposure for all models of a setup (in brackets: after one of
its own). Without files, the models of `tests/samples.py` and `tests/fixtures/models`. `--into`
writes them side by side: ours, then each setup. `--references` makes the tests' pictures anew.

这个脚本把我们的预览图与 three.js 的画面逐一比较。
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from scripts.bench.browser import LIGHTS, Missing, View, draw
from shared.artifacts.gltf.container import BrokenModel
from shared.artifacts.render.preview import PreviewError, render
from shared.artifacts.render.raster import Array
from tests import samples
from tests.likeness import difference, fitted_exposure, mask_of, overlap

LEAST_OVERLAP, LARGEST_DIFFERENCE = 0.97, 12.0


def main() -> None:
    """Draw all models both ways, print a table.

    这个函数绘制并打印比较表。
    """
    options = _options()
    models = {path.stem: path.read_bytes() for path in options.files} or samples.models()
    models = {name: models[name] for name in options.model or models}
    size = samples.SIZE if options.references else options.size
    lights = [samples.LIGHT] if options.references else (options.light or list(LIGHTS))
    ours, views = _ours(models, size)
    try:
        drawn = draw(list(views.values()), size, {name: LIGHTS[name] for name in lights})
    except Missing as missing:
        sys.exit(str(missing))
    for name, found in zip(views, drawn, strict=True):
        if isinstance(found, str):
            print(f"{name}: three.js: {found}")
    theirs = {
        name: found for name, found in zip(views, drawn, strict=True) if not isinstance(found, str)
    }
    _table(ours, theirs, lights)
    if options.into:
        _write(options.into, ours, theirs)
    if options.references:
        for name, found in theirs.items():
            samples.PICTURES.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(found[samples.LIGHT])
            picture.save(samples.PICTURES / f"{name}.webp", lossless=True, exact=True, method=6)


def _ours(models: Mapping[str, bytes], size: int) -> tuple[dict[str, Array], dict[str, View]]:
    """Our pictures, and what three.js needs to make the same; says which models are left out.

    用我们的渲染器绘制。
    """
    pictures, views = {}, {}
    for name, model in models.items():
        try:
            picture = render(model, size)
        except (BrokenModel, PreviewError) as error:
            print(f"{name}: ours: {error}")
            continue
        for warning in picture.warnings:
            print(f"{name}: {warning}")
        pictures[name], views[name] = picture.rgba, View(model, picture.camera)
    return pictures, views


def _table(
    ours: Mapping[str, Array], theirs: Mapping[str, Mapping[str, Array]], lights: list[str]
) -> None:
    """Print a line per model and a column per setup; `!` marks what is outside of the limits.

    打印比较结果。
    """
    exposures = {
        light: fitted_exposure([(ours[name], found[light]) for name, found in theirs.items()])
        for light in lights
    }
    print(f"\n{'':28}{'overlap':>9}" + "".join(f"{light:>18}" for light in lights))
    print(f"{'one exposure':37}" + "".join(f"{exposures[light]:>18.2f}" for light in lights))
    worst = dict.fromkeys(lights, 0.0)
    for name, found in theirs.items():
        alike = overlap(mask_of(ours[name]), mask_of(found[lights[0]]))
        line = f"{name[:27]:28}{alike:>8.3f}{'!' if alike < LEAST_OVERLAP else ' '}"
        for light in lights:
            far = difference(ours[name], found[light], exposures[light])
            own = fitted_exposure([(ours[name], found[light])])
            least = difference(ours[name], found[light], own)
            worst[light] = max(worst[light], far)
            mark = "!" if far > LARGEST_DIFFERENCE else " "
            line += f"{far:>10.1f}{mark}({least:>4.1f}) "
        print(line)
    print(f"{'worst':37}" + "".join(f"{worst[light]:>10.1f}        " for light in lights))


def _write(
    folder: Path, ours: Mapping[str, Array], theirs: Mapping[str, Mapping[str, Array]]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in theirs.items():
        row = [Image.fromarray(picture) for picture in (ours[name], *found.values())]
        sheet = Image.new("RGB", (sum(picture.width for picture in row), row[0].height), "white")
        for place, picture in enumerate(row):
            sheet.paste(picture, (place * picture.width, 0), picture)
        sheet.save(folder / f"{name}.png")


def _options() -> argparse.Namespace:
    """Read the command line.

    读取命令行参数。
    """
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.pictures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, help="GLB files")
    parser.add_argument("--model", action="append", help="a name of these; default: all")
    parser.add_argument("--size", type=int, default=256, help="pixels a side (256)")
    parser.add_argument("--light", action="append", choices=LIGHTS, help="default: all")
    parser.add_argument("--into", type=Path, help="a folder for PNGs, side by side")
    parser.add_argument("--references", action="store_true", help="write the tests' pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
