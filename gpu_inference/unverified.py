"""What this project's tests have not run, told by `/info` and by both guides: the one list of it.

尚未验证的部分：/info 与两份指南都以此为准。
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unverified:
    """A part by its name, and how far it was run, in English and in Chinese.

    未验证的部分及已验证到的程度。
    """

    what: str
    known: str
    chinese: str


UNVERIFIED = (
    Unverified(
        "gpu",
        "No test has run on a GPU: not bfloat16 there, nor the memory bounds, nor any speed.",
        "没有任何测试在 GPU 上运行过：GPU 上的 bfloat16、显存上限与速度均未验证。",
    ),
    Unverified(
        "published weights",
        "Models with the published checkpoints' layout ran, all of them a few megabytes small.",
        "只运行过与公开模型结构相同、仅数 MB 的微型模型。",
    ),
    Unverified(
        "qwen-image-edit, qwen-image-edit-plus, qwen-image-2.1",
        "Their pipelines are called as their signatures say, but never drew a picture.",
        "只核对过其流水线的调用参数，从未实际生成过图片。",
    ),
    Unverified(
        "fp8, compile, step_cache, offload, lora, lightning_schedule, vae_tiling, vae_single_frame",
        "Run on a CPU with a tiny model, which shows that they work and what they change there."
        " What they save, and how real pictures look with them, is not measured.",
        "只在 CPU 上用微型模型运行过，可以确认能够工作以及画面的变化；"
        "实际节省多少、真实图片效果如何，未曾测量。",
    ),
    Unverified(
        "attention",
        "Only PyTorch's own kernel ran; the others need a GPU.",
        "只运行过 PyTorch 自带的实现；其他实现都需要 GPU。",
    ),
    Unverified(
        "Dockerfile",
        "The image was never built.",
        "镜像从未构建过。",
    ),
    Unverified(
        "/event-invoke, /ping, /invocations",
        "Called by tests over HTTP, never by SCF or SageMaker.",
        "只由测试通过 HTTP 调用过，未在 SCF 或 SageMaker 上部署。",
    ),
)


def told() -> dict[str, str]:
    """Return each part's name with how far it was run.

    返回列表内容。
    """
    return {one.what: one.known for one in UNVERIFIED}
