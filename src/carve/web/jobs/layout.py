"""Where a server keeps what: one folder, all names ours.

DATA/jobs.sqlite            every job and its state
DATA/queue.sqlite           what waits (huey)
DATA/secret                 signs sessions of the page
DATA/avatars/ID/upload/     photo, mask, landmarks as they were sent
DATA/avatars/ID/shown/      the photo and the stages' pictures for the page, motions.json
DATA/avatars/ID/run/        the output folder of the run
"""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

ID = re.compile(r"[0-9a-f]{16}")


def new_id() -> str:
    """A name that cannot be guessed."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class AvatarFolder:
    """The folder of one job."""

    path: Path

    @property
    def photo(self) -> Path:
        """As it was sent."""
        return self.path / "upload" / "photo"

    @property
    def mask(self) -> Path:
        """As it was sent, if it was."""
        return self.path / "upload" / "mask"

    @property
    def landmarks(self) -> Path:
        """As they were sent, if they were."""
        return self.path / "upload" / "landmarks"

    @property
    def shown(self) -> Path:
        """Pictures for the page."""
        return self.path / "shown"

    @property
    def run(self) -> Path:
        """The run's output folder."""
        return self.path / "run"

    def make(self) -> None:
        """Make the empty folders."""
        (self.path / "upload").mkdir(parents=True)
        self.shown.mkdir()

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class DataFolder:
    """The folder of a server."""

    path: Path

    @property
    def jobs(self) -> Path:
        """The table of jobs."""
        return self.path / "jobs.sqlite"

    @property
    def queue(self) -> Path:
        """The queue."""
        return self.path / "queue.sqlite"

    @property
    def secret(self) -> Path:
        """The key that signs sessions."""
        return self.path / "secret"

    @property
    def avatars(self) -> Path:
        """One folder a job."""
        return self.path / "avatars"

    def avatar(self, job: str) -> AvatarFolder:
        """The folder of a job; its id is one that we gave."""
        if not ID.fullmatch(job):
            raise ValueError("no id of ours")
        return AvatarFolder(self.avatars / job)
