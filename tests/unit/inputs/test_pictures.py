"""What checking a picture that comes in costs.

检查输入图片所需内存的测试。
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 80).convert("RGB")


_MEASURE = """
import sys
from pathlib import Path
from shared.artifacts.images.image import ImageLimits
from shared.inputs.pictures import checked_picture

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

limits = ImageLimits(20, 6000, 50_000_000, 20 * 2**20)
checked_picture("image", Path(sys.argv[1]).read_bytes(), limits, ("image/jpeg",))
before = peak()
made = checked_picture("image", Path(sys.argv[2]).read_bytes(), limits, ("image/jpeg",))
print(peak() - before, made.width, made.height)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("size", "made"),
    [((7296, 5472), (4500, 6000)), ((5712, 4284), (4284, 5712))],
    ids=["40 megapixels", "24 megapixels"],
)
def test_a_large_photo_taken_sideways_fits_into_a_functions_memory(
    tmp_path: Path, size: tuple[int, int], made: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tile = noise(400, 300)
    photo = Image.new("RGB", size)
    for x in range(0, size[0], 400):
        for y in range(0, size[1], 300):
            photo.paste(tile, (x, y))
    photo.save(tmp_path / "photo.jpg", quality=60, exif=exif)
    noise(100, 100).save(tmp_path / "small.jpg")
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / "small.jpg"), str(tmp_path / "photo.jpg")],
        check=True,
        capture_output=True,
        text=True,
    )
    peak, width, height = map(int, run.stdout.split())
    assert (width, height) == made
    # The HTTP function has 1024 MB, some 150 of which it needs itself.
    assert peak < 400 << 20
