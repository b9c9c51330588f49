"""What a job's file is called when somebody saves it.

成果文件下载时的文件名。
"""

from __future__ import annotations

from pathlib import PurePosixPath

from shared.buckets.names import clean_filename, shortened
from shared.jobs.model import Artifact, Job

NAMED_BY = ("filename", "name", "title")
"""Members of a job's metadata that name its files; the first that is there."""

_MAIN = ("model", "image")
_STEM_BYTES = 160
"""File systems allow 255 bytes; a role, a number, an ending and a browser's " (1)" follow."""
_STEM_CHARACTERS = 60


def download_name(job: Job, artifact: Artifact) -> str:
    """A file's name by the job's metadata, else its prompt, else its id: `红色的椅子.glb`, and
    `红色的椅子-preview.webp` beside it.

    按元数据或提示词生成文件名。
    """
    name = PurePosixPath(artifact.name)
    role, ending = name.stem, name.suffix
    for main in _MAIN:
        if role == main or role.startswith(f"{main}-"):
            role = role.removeprefix(main)
            break
    else:
        role = f"-{role}"
    return clean_filename(f"{_stem(job, ending)}{role}{ending}")


def _stem(job: Job, ending: str) -> str:
    """The part that all files of a job share, short enough for what follows it."""
    named = (job.metadata.get(member) for member in NAMED_BY)
    given = [text for text in (*named, job.input.prompt) if isinstance(text, str)]
    for text in given:
        clean = clean_filename(" ".join(text.split()), otherwise="")
        if clean.lower().endswith(ending):
            clean = clean[: -len(ending)]
        if kept := shortened(clean, _STEM_CHARACTERS, _STEM_BYTES):
            return kept
    return job.id
