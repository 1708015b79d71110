"""Who is in a back photo, and whether they are seen from behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from carve.records import CarveError, Landmarks, Observation, Photo
from carve.stages.observe import Params, observe
from carve.stages.observing.pose_reading import CLEARLY_TURNED

FROM_FRONT = "The back photo shows the person from the front: give one that is taken from behind."
FROM_SIDE = "The back photo does not clearly show the person from behind: give one that shows back and shoulders squarely."
LOOKS_BACK = "The back photo shows the person's face: give one in which the person looks away from the camera."


def observe_back(photo: Photo, params: Params) -> Observation:
    """Find the person of a back photo: the largest in it. Settings that are of the first photo alone do not count.

    Raises CarveError, in a sentence that names the back photo, if nobody is found or they are not seen from behind.
    """
    try:
        found = observe(photo, replace(params, person=None, focal=None))
    except CarveError as error:
        reason = str(error).rstrip(".")
        raise CarveError(f"The back photo cannot be used ({reason[:1].lower()}{reason[1:]}).") from error
    check_from_behind(found.landmarks)
    return found


def check_from_behind(marks: Landmarks) -> None:
    """Raise CarveError if the person with these landmarks is not seen from behind: their left side must be on the picture's left."""
    at = {name: marks.pixels[i] for i, name in enumerate(marks.names)}
    left, right = (np.mean([at[f"{side}_{joint}"] for joint in ("shoulder", "hip")], axis=0) for side in ("left", "right"))
    trunk = np.linalg.norm(sum(at[f"{side}_shoulder"] - at[f"{side}_hip"] for side in ("left", "right"))) / 2
    across = (left - right)[0] / max(float(trunk), 1e-6)
    if across > CLEARLY_TURNED:
        raise CarveError(FROM_FRONT)
    if across > -CLEARLY_TURNED:
        raise CarveError(FROM_SIDE)
    if "face_0" in marks.names:
        raise CarveError(LOOKS_BACK)
