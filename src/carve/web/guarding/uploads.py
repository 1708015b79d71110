"""What a client sends to begin or change a run: a form with files and options, taken apart, checked, and put into the avatar's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from carve.files.text import readable
from carve.records import CarveError
from carve.web.guarding.doorman import Doorman, landmarks_checked, mask_checked, settings_checked
from carve.web.jobs.layout import AvatarFolder
from carve.web.options import FLAGS, LISTS, NAMES, OF_SETTINGS, planned

FILES = ("photo", "mask", "landmarks")
MAX_LIST = 64
"""Values of an option that may be repeated."""
MAX_VALUE = 2000
"""Characters of an option."""
MAX_LANDMARKS = 4 << 20
"""Bytes."""
NAME_LENGTH = 80
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no", "")


@dataclass(frozen=True)
class Sent:
    """What stood in a form."""

    files: dict[str, UploadFile]
    options: dict[str, Any]
    start: str | None
    reset: list[str]


async def taken_apart(request: Request, files: tuple[str, ...], more: tuple[str, ...] = ()) -> Sent:
    """The form of a request, which may hold these files, the options, and fields `more`.

    Raises:
        HTTPException: 422 for fields that are unknown, come twice or are of the wrong kind.
    """
    form = await request.form(max_files=8, max_fields=200, max_part_size=1 << 20)
    known = {*files, *NAMES, *more}
    for name in form:
        if name not in known:
            raise HTTPException(422, f"There is no field '{_short(name)}' here.")
        if name not in (*LISTS, "reset") and len(form.getlist(name)) > 1:
            said = "One photo makes one avatar for now; send several requests" if name == "photo" else f"The field '{name}' comes twice"
            raise HTTPException(422, f"{said}.")
        for value in form.getlist(name):
            if isinstance(value, UploadFile) != (name in FILES):
                raise HTTPException(422, f"The field '{name}' must {'be a file' if name in FILES else 'not be a file'}.")
    options = {name: _value(form, name) for name in NAMES if name in form}
    start = form.get("from") if "from" in more else None
    return Sent(
        files={name: upload for name in files if isinstance(upload := form.get(name), UploadFile)},
        options=options,
        start=str(start) if start else None,
        reset=[str(value) for value in form.getlist("reset")] if "reset" in more else [],
    )


def _value(form: FormData, name: str) -> Any:
    values = [str(value) for value in form.getlist(name)]
    if len(values) > MAX_LIST or any(len(value) > MAX_VALUE or "\0" in value for value in values):
        raise HTTPException(422, f"The option '{name}' is too long.")
    if name in LISTS:
        return [value for value in values if value]
    if name not in FLAGS:
        return values[0].strip()
    word = values[0].strip().lower()
    if word not in _TRUE + _FALSE:
        raise HTTPException(422, f"The option '{name}' is true or false.")
    return word in _TRUE


async def options_checked(options: Mapping[str, Any], doorman: Doorman) -> None:
    """Raise CarveError if the command line would not take these options."""
    planned(options)
    if OF_SETTINGS & options.keys():
        await doorman.ask(settings_checked, dict(options))


async def corrections_checked(sent: Sent, incoming: AvatarFolder, size: tuple[int, int], doorman: Doorman) -> None:
    """Write a mask and landmarks into a folder and look at them. Raises CarveError."""
    if "mask" in sent.files:
        await saved(sent.files["mask"], incoming.mask)
        await doorman.ask(mask_checked, incoming.mask, size)
    if "landmarks" in sent.files:
        if (sent.files["landmarks"].size or 0) > MAX_LANDMARKS:
            raise CarveError(f"The landmarks file is larger than {MAX_LANDMARKS >> 20} MiB.")
        await saved(sent.files["landmarks"], incoming.landmarks)
        await doorman.ask(landmarks_checked, incoming.landmarks)


async def saved(upload: UploadFile, path: Path) -> None:
    """Copy an upload into a file of ours."""
    with path.open("xb") as file:
        while chunk := await upload.read(1 << 20):
            file.write(chunk)


def take_over(incoming: AvatarFolder, folder: AvatarFolder) -> None:
    """Put checked corrections in the place of earlier ones."""
    for name in ("mask", "landmarks"):
        new: Path = getattr(incoming, name)
        if new.exists():
            shutil.move(new, getattr(folder, name))


def shown_name(upload: UploadFile) -> str:
    """What a client calls its photo: without folders, short, on one line. It is shown and put into the report, and is no path."""
    last = PurePosixPath((upload.filename or "").replace("\\", "/")).name
    stem = last.rsplit(".", 1)[0] if "." in last.strip(".") else last
    return _short(stem.strip(". ")) or "photo"


def _short(text: str) -> str:
    return " ".join(readable(text).split())[:NAME_LENGTH]
