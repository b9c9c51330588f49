"""Time and memory of model checks and previews beside other libraries: one small table.

Run `python -m scripts.bench.artifacts`. Each line runs in a fresh process; memory is what the
process grew by at its peak, libraries imported on first use included. Linux only. `times`
compares CPU time with the first line: trust the ratios, not the milliseconds.

这个脚本测量模型检查和预览的耗时与内存，并与其他库比较。
"""

from __future__ import annotations

import argparse
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
from shared.artifacts.gltf.mesh import check_indices
from shared.artifacts.render import preview
from shared.artifacts.render.camera import look_at
from tests.models import ModelBuilder, grid_sphere, smooth_normals

ROUNDS = 3


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


def check(path: Path) -> None:
    """The container and its JSON.

    这个函数只检查容器和结构。
    """
    with FileReader(path) as reader:
        check_container(reader)


def check_with_indices(path: Path) -> None:
    """The container, its JSON and every index.

    这个函数检查容器、结构和全部索引。
    """
    with FileReader(path) as reader:
        check_indices(check_container(reader))


def declared(path: Path) -> None:
    """All checks, and facts from declarations.

    这个函数按文件声明得出模型信息。
    """
    with FileReader(path) as reader:
        inspect_model(reader, measure_below=0)


def measured(path: Path) -> None:
    """All checks, and facts from the vertices.

    这个函数读取顶点得出模型信息。
    """
    with FileReader(path) as reader:
        inspect_model(reader, measure_below=1 << 40)


def with_pygltflib(path: Path) -> None:
    """The same file opened by pygltflib.

    这个函数用 pygltflib 打开同一文件。
    """
    import pygltflib

    pygltflib.GLTF2().load(str(path))


def with_trimesh(path: Path) -> None:
    """The same file opened and measured by trimesh.

    这个函数用 trimesh 打开并测量同一文件。
    """
    import trimesh

    scene = trimesh.load_scene(path, process=False)
    assert scene.bounds is not None


def draw(path: Path) -> None:
    """Our preview, textured, 512 x 512, twice sampled each way.

    这个函数绘制带贴图的预览图。
    """
    preview.draw_preview(path)


def cast(path: Path) -> None:
    """A ray cast of the same size by trimesh and embree, geometry only, one sample a pixel.

    这个函数用光线投射绘制同样大小的画面。
    """
    import trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    solid = trimesh.load_scene(path, process=False).to_geometry()
    camera = look_at(solid.vertices)
    ways = camera.rays(512)
    eyes = np.broadcast_to(camera.eye, ways.shape)
    hit = RayMeshIntersector(solid).intersects_first(eyes, ways)
    np.abs(np.einsum("ni,ni->n", solid.face_normals[hit], ways)).sum()


def _memory(field: str) -> float:
    """This process's memory in MB: VmRSS now, VmHWM at its highest since it was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def _measure(task: Callable[[Path], None], path: Path, answer: Any) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = _memory("VmRSS")
    took, worked = [], []
    for _ in range(ROUNDS):
        start, start_cpu = time.perf_counter(), time.process_time()
        task(path)
        took.append(time.perf_counter() - start)
        worked.append(time.process_time() - start_cpu)
    answer.put((min(took), min(worked), _memory("VmHWM") - before))


def _run(task: Callable[[Path], None], path: Path) -> tuple[float, float, float]:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_measure, args=(task, path, answer))
    process.start()
    found: tuple[float, float, float] = answer.get(timeout=300)
    process.join()
    return found


def _table(title: str, path: Path, tasks: dict[str, Callable[[Path], None]]) -> None:
    print(f"\n{title} ({os.path.getsize(path) / 1e6:.1f} MB)")
    print(f"{'':44}{'ms':>10}{'CPU ms':>10}{'times':>9}{'MB':>8}")
    first = 0.0
    for name, task in tasks.items():
        seconds, worked, memory = _run(task, path)
        first = first or worked
        times = f"{seconds * 1e3:>10.1f}{worked * 1e3:>10.1f}{worked / first:>9.1f}"
        print(f"{name:44}{times}{memory:>8.0f}")


def main() -> None:
    """Build the two models and print the tables.

    这个函数生成测试模型并打印结果表。
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the small model only")
    quick = parser.parse_args().quick
    checks: dict[str, Callable[[Path], None]] = {
        "container and JSON": check,
        "+ every index": check_with_indices,
        "+ facts, declared": declared,
        "+ facts, measured": measured,
        "pygltflib: load": with_pygltflib,
        "trimesh: load, bounds": with_trimesh,
    }
    drawings = {
        "preview, textured, 512 px, 4 samples": draw,
        "trimesh + embree, bare, 512 px, 1 sample": cast,
    }
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.glb"), Path(folder, "large.glb")
        textured_sphere(small, 280, 200, 1024)
        _table("112k triangles: check", small, checks)
        _table("112k triangles: draw", small, drawings)
        if not quick:
            textured_sphere(large, 1100, 800, 1024)
            _table("1.8M triangles: check", large, checks)
            _table("1.8M triangles: draw", large, drawings)


if __name__ == "__main__":
    main()
