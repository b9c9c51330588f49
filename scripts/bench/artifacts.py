"""Where a model's processor time goes, and its peak memory: check, facts and preview by stage.

Run `python -m scripts.bench.artifacts`, `--quick` for the two small models. Each model is looked at
in a fresh process of one thread: the best of five rounds after one that imports; memory is what the
process grew by at its peak. Beside it: its picture decoded by Pillow alone, and trimesh with embree
casting one ray a pixel at the same triangles, untextured. Linux only. The machine's noise is large:
trust the ratios.

这个脚本按阶段测量模型检查和预览的处理器时间与内存。
"""

from __future__ import annotations

import argparse
import functools
import io
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared.artifacts.gltf.container import FileReader, check_container
from shared.artifacts.gltf.measure import inspect_model
from shared.artifacts.render import frame, preview
from shared.artifacts.render.camera import look_at
from shared.artifacts.render.materials import Shelf
from tests.models import ModelBuilder, box, grid_sphere, smooth_normals

ROUNDS = 5
STAGES = ("read", "decode", "rasterise", "shade", "smooth", "encode", "rest")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Stages:
    """Processor time by stage: while one runs inside another, the other's clock stands still.

    这个类按阶段累计处理器时间。
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._running = ["rest"]
        self._since = time.process_time()

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count a function of a module or class as a stage, unless a picture is being smoothed.

        这个方法把一个函数计入某个阶段。
        """
        whole = getattr(owner, name)

        @functools.wraps(whole)
        def timed(*args: Any, **more: Any) -> Any:
            self._switch()
            self._running.append("smooth" if "smooth" in self._running else stage)
            try:
                return whole(*args, **more)
            finally:
                self._switch()
                self._running.pop()

        setattr(owner, name, timed)

    def take(self) -> dict[str, float]:
        """What was counted since the last time.

        这个方法取出并清零计时。
        """
        self._switch()
        taken, self.seconds = self.seconds, dict.fromkeys(STAGES, 0.0)
        return taken


def cube(path: Path) -> None:
    """Twelve triangles.

    这个函数写出一个立方体。
    """
    builder = ModelBuilder()
    builder.add_node(builder.add_mesh(*box()))
    path.write_bytes(builder.glb())


def textured_sphere(path: Path, columns: int, rows: int, side: int) -> None:
    """Write a lumpy sphere of 2 x columns x rows triangles with normals, UVs and a texture.

    这个函数写出一个带贴图的测试模型。
    """
    points, faces, uvs = grid_sphere(columns, rows)
    builder = ModelBuilder()
    noise = np.random.default_rng(7).integers(60, 255, (side // 8, side // 8, 3), np.uint8)
    texture = builder.add_texture(noise.repeat(8, 0).repeat(8, 1))
    normals = smooth_normals(points, faces)
    material = builder.add_material(texture)
    builder.add_node(
        builder.add_mesh(points, faces, normals=normals, uvs=uvs, material=material),
        rotation=[0, 0.70710678, 0, 0.70710678],
    )
    path.write_bytes(builder.glb())


def _decode_alone(path: Path) -> float | None:
    """Seconds that Pillow takes for the model's own pictures; None where it has none.

    单独解码模型内图片的耗时。
    """
    from PIL import Image

    with FileReader(path) as reader:
        container = check_container(reader)
        shelf = Shelf(container, 1)
        data = [shelf._bytes(i) for i in range(len(container.document.raw.get("images", [])))]
    start = time.process_time()
    for picture in data:
        Image.open(io.BytesIO(picture)).load()
    return time.process_time() - start if data else None


def _cast_alone(path: Path) -> float | None:
    """Seconds for the same picture by trimesh and embree, geometry only, one ray a pixel.

    用光线投射绘制同样画面的耗时。
    """
    try:
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector
    except ImportError:
        return None
    start = time.process_time()
    solid = trimesh.load_scene(path, process=False).to_geometry()
    camera = look_at(solid.vertices)
    ways = camera.rays(512)
    eyes = np.broadcast_to(camera.eye, ways.shape)
    hit = RayMeshIntersector(solid).intersects_first(eyes, ways)
    np.abs(np.einsum("ni,ni->n", solid.face_normals[hit], ways)).sum()
    return time.process_time() - start


def _memory(field: str) -> float:
    """This process's memory in MB: VmRSS now, VmHWM at its highest since it was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def _best(task: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        start = time.process_time()
        task()
        took.append(time.process_time() - start)
    return min(took)


def _measured(path: Path, answer: Any) -> None:
    """All the figures of one model, in a process of its own.

    在单独进程中测量一个模型。
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = _memory("VmRSS")
    picture = preview.render(path)
    preview.draw_preview(path)
    found: dict[str, Any] = {"peak": _memory("VmHWM") - before}
    found["shaded"], found["smoothed"] = picture.shaded, picture.smoothed

    def facts() -> None:
        with FileReader(path) as reader:
            inspect_model(reader, measure_below=1 << 40)

    def check() -> None:
        with FileReader(path) as reader:
            check_container(reader)

    found["check"], found["facts"] = _best(check), _best(facts)
    found["preview"] = _best(lambda: preview.draw_preview(path))
    stages = Stages()
    for owner, name, stage in (
        (preview, "read_scene", "read"),
        (Shelf, "_image", "decode"),
        (frame._Painter, "layers", "rasterise"),
        (frame._Painter, "painted", "shade"),
        (frame, "_smooth", "smooth"),
        (preview, "_encoded", "encode"),
    ):
        stages.watch(owner, name, stage)
    rounds = []
    for _ in range(ROUNDS):
        preview.draw_preview(path)
        rounds.append(stages.take())
    found.update({stage: min(one[stage] for one in rounds) for stage in STAGES})
    found["picture alone"], found["rays"] = _decode_alone(path), _cast_alone(path)
    answer.put(found)


def _run(path: Path) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_measured, args=(path, answer))
    process.start()
    found: dict[str, Any] = answer.get(timeout=600)
    process.join()
    return found


def _print(found: dict[str, dict[str, Any]]) -> None:
    """One column for each model.

    打印结果表。
    """
    print(f"{'processor ms':26}" + "".join(f"{name:>14}" for name in found))
    for label, keys in (
        ("check", ["check"]),
        ("facts, check included", ["facts"]),
        ("preview, all stages", ["preview"]),
        *((f"  {stage}", [stage]) for stage in STAGES),
        ("decoding by Pillow alone", ["picture alone"]),
        ("trimesh + embree, bare", ["rays"]),
    ):
        cells = (
            sum(one[key] for key in keys) if one[keys[0]] is not None else None
            for one in found.values()
        )
        shown = (f"{cell * 1e3:>14.1f}" if cell is not None else f"{'-':>14}" for cell in cells)
        print(f"{label:26}" + "".join(shown))
    for label, key in (
        ("samples coloured", "shaded"),
        ("pixels smoothed", "smoothed"),
        ("peak memory, MB", "peak"),
    ):
        print(f"{label:26}" + "".join(f"{one[key]:>14,.0f}" for one in found.values()))


def main() -> None:
    """Build the models and print the table.

    这个函数生成测试模型并打印结果表。
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the two small models only")
    quick = parser.parse_args().quick
    os.environ.update(dict.fromkeys(THREADS, "1"))
    models: dict[str, Callable[[Path], None]] = {
        "cube": cube,
        "20 k": lambda path: textured_sphere(path, 125, 80, 512),
        "112 k": lambda path: textured_sphere(path, 280, 200, 1024),
        "4096² texture": lambda path: textured_sphere(path, 125, 80, 4096),
        "1 M": lambda path: textured_sphere(path, 834, 600, 1024),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, write in list(models.items())[: 2 if quick else None]:
            path = Path(folder, f"{len(found)}.glb")
            write(path)
            found[name] = _run(path)
        _print(found)


if __name__ == "__main__":
    main()
