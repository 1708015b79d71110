"""Scenery that is missing or broken is told by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.photo.scenery import load_scenery


def test_missing_backgrounds_are_told(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="no backgrounds"):
        load_scenery(tmp_path)
    (tmp_path / "backgrounds").mkdir()
    (tmp_path / "hdri").mkdir()
    (tmp_path / "backgrounds" / "broken.jpg").write_bytes(b"nothing")
    cv2.imwrite(str(tmp_path / "hdri" / "even.hdr"), np.full((16, 32, 3), 0.5, np.float32))
    with pytest.raises(CarveError, match=r"broken\.jpg"):
        load_scenery(tmp_path)
