"""From what a request points at to the inputs of its job: whose it is, whether it is there, a copy.

由请求中的引用得到任务的输入。
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shared.buckets.base import ObjectMissing
from shared.errors import Gone, InvalidInput, MaquetteError, NotFound, Refused, Unavailable
from shared.inputs.files import InputFile, NewFile
from shared.inputs.keeping import InputKeeper, Source
from shared.inputs.references import ArtifactRef, Pointer, UploadRef, UrlRef
from shared.inputs.remote import RemoteInput
from shared.inputs.uploads import UploadRepository
from shared.jobs.kinds import Kind
from shared.jobs.model import Artifact, Job, Status


class JobInputs:
    """Finds and keeps the inputs of new jobs; `get` reads a job, of whichever caller.

    负责查找并保存新任务的输入。
    """

    def __init__(
        self,
        keeper: InputKeeper,
        get: Callable[[str], Job | None],
        uploads: UploadRepository,
    ) -> None:
        self._keeper = keeper
        self._get = get
        self._uploads = uploads

    def keep(
        self,
        caller: str,
        job_id: str,
        kind: Kind,
        files: Mapping[str, NewFile],
        references: Mapping[str, Pointer],
    ) -> dict[str, InputFile]:
        """The inputs of a new job by role, each with a copy of its own; all or none. What lies on
        the web is not among them.

        Raises `InvalidInput` and its kin for what cannot be used, `NotFound` for what is not this
        caller's, `Refused` for a job without files (yet), `Gone` for one whose files were deleted.

        保存新任务的全部输入。
        """
        kept: dict[str, InputFile] = {}
        try:
            for role, file in files.items():
                kept[role] = self._keeper.keep(job_id, file)
            for role, reference in references.items():
                if not isinstance(reference, UrlRef):
                    kept[role] = self._pointed(caller, job_id, kind, role, reference)
            self._keeper.check_together(kept)
        except BaseException:
            self.forget(kept)
            raise
        return kept

    def remote(self, references: Mapping[str, Pointer]) -> dict[str, RemoteInput]:
        """The inputs of a new job that lie on the web, to be fetched before it is submitted.

        网络上的输入，待提交之前下载。
        """
        urls = {role: one for role, one in references.items() if isinstance(one, UrlRef)}
        return {role: RemoteInput(one.url) for role, one in urls.items()}

    def forget(self, kept: Mapping[str, InputFile]) -> None:
        """Delete the inputs of a job that was not made.

        删除未建成任务的输入。
        """
        for file in kept.values():
            self._keeper.forget(file.key)

    def _pointed(
        self, caller: str, job_id: str, kind: Kind, role: str, reference: UploadRef | ArtifactRef
    ) -> InputFile:
        """What lies elsewhere, copied.

        复制引用所指的文件。
        """
        # Twice, if need be: what is missing may have been deleted between the two looks.
        for last in (False, True):
            source = self._source(caller, role, reference)
            try:
                return self._keeper.keep_source(job_id, role, kind.roles[role], source)
            except ObjectMissing:
                if last:
                    raise _missing(role, reference) from None
        raise AssertionError("unreachable")

    def _source(self, caller: str, role: str, reference: UploadRef | ArtifactRef) -> Source:
        if isinstance(reference, ArtifactRef):
            return self._artifact(caller, role, reference)
        param = f"{role}.upload_id"
        upload = self._uploads.get(caller, reference.upload_id, param=param)
        return Source(upload.key, reference.named(), upload.sha256)

    def _artifact(self, caller: str, role: str, reference: ArtifactRef) -> Source:
        """Where another job's artifact lies.

        查找另一任务的成果。
        """
        param = f"{role}.job_id"
        job = self._get(reference.job_id)
        if job is None or job.caller != caller:
            raise NotFound(
                f"{role}: there is no job {reference.job_id!r}.", code="job_not_found", param=param
            )
        refusal = _unusable(job, role, param)
        if refusal is not None:
            raise refusal
        artifact = _named(job, role, reference)
        return Source(artifact.key, reference.named(), artifact.sha256, verified=True)


def _missing(role: str, reference: UploadRef | ArtifactRef) -> MaquetteError:
    """Why a file that should be there is not."""
    if isinstance(reference, UploadRef):
        message = f"{role}: nothing has been put for upload {reference.upload_id} yet."
        param = f"{role}.upload_id"
        return Refused(message, code="upload_not_received", param=param, retryable=True)
    return Unavailable(f"{role}: the file cannot be read just now; ask again.", param=role)


def _unusable(job: Job, role: str, param: str) -> MaquetteError | None:
    """Why nothing of a job can be used; None if something can.

    任务的成果不可用的原因。
    """
    if not job.status.terminal:
        message = f"{role}: job {job.id} is {job.status.value}; it has no files yet."
        return Refused(message, code="not_finished", retryable=True, param=param)
    if job.deleted_at is not None:
        message = f"{role}: the files of job {job.id} were deleted."
        return Gone(message, code="artifact_deleted", param=param)
    if job.status is not Status.SUCCEEDED:
        message = f"{role}: job {job.id} ended as {job.status.value}; it has no files."
        return Refused(message, code=f"job_{job.status.value}", param=param)
    return None


def _named(job: Job, role: str, reference: ArtifactRef) -> Artifact:
    """The artifact that a reference names; raises InvalidInput naming the member that is wrong.

    引用指定的成果。
    """
    fitting = [item for item in job.artifacts if item.role == reference.role]
    if not fitting:
        known = ", ".join(dict.fromkeys(item.role for item in job.artifacts))
        raise InvalidInput(
            f"{role}: job {job.id} has no artifact {reference.role!r}; it has {known}.",
            code="artifact_not_found",
            param=f"{role}.role",
        )
    if reference.index >= len(fitting):
        raise InvalidInput(
            f"{role}: job {job.id} has {len(fitting)} of {reference.role!r}; the last one's index "
            f"is {len(fitting) - 1}.",
            code="artifact_not_found",
            param=f"{role}.index",
        )
    return fitting[reference.index]
