"""Truth that is moved against the truth of the moved person, light on the person against closed forms, and what is drawn at random."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from carve.body.anny import AnnyBody
from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.records import CarveError
from carve.synth import photograph as module
from carve.synth.lighting import Lighting, cap, environment_of
from carve.synth.photograph import (
    FIELDS,
    Motion,
    Scenery,
    augment,
    develop,
    draw_motion,
    load_scenery,
    other_side,
    photograph,
    repaint,
    shade,
    srgb,
    view_fields,
)
from carve.synth.records import PARTS, View
from solids import sphere


def _views() -> ModuleType:
    spec = importlib.util.spec_from_file_location("synth_views", Path(__file__).with_name("views.py"))
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["synth_views"] = loaded
    spec.loader.exec_module(loaded)
    return loaded
