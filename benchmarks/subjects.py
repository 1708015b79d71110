"""The photos and evaluation cases of a `--shared` folder, and where the files of each lie."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """One picture to reconstruct."""

    name: str
    photo: Path
    mask: Path | None
    """The true mask of the person, if there is one."""
    case: Path | None
    """The evaluation case's folder with the true surface; None for a real photo."""


def find_subjects(shared: Path, only: Collection[str] = ()) -> list[Subject]:
    """All cases and photos of the folder in the order of their names, cases first; with `only`, those of these names."""
    folders = sorted(path.parent for path in shared.glob("bench/dev/*/outer.npz"))
    subjects = [Subject(case.name, case / "photo.png", case / "mask.png", case) for case in folders]
    for photo in sorted(shared.glob("photos/*.jpg")):
        mask = photo.with_name(f"{photo.stem}_mask.png")
        subjects.append(Subject(photo.stem, photo, mask if mask.exists() else None, None))
    if not subjects:
        raise SystemExit(f"{shared} holds neither bench/dev/NAME/ nor photos/NAME.jpg; give the folder with --shared.")
    unknown = set(only) - {subject.name for subject in subjects}
    if unknown:
        raise SystemExit(f"{shared} holds no {', '.join(sorted(unknown))}.")
    return [subject for subject in subjects if not only or subject.name in only]
