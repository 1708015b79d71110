"""Feet in high heels: they stand on their balls, the toes flat on the ground."""

from __future__ import annotations

import numpy as np

from carve.geometry.rotations import axis_rotation
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.poses import Pose, apply_pose


def on_heels(body: FullBody, shaped: ShapedBody, pose: Pose, degrees: float) -> Pose:
    """The pose with both feet stretched by so many degrees, and the toes bent back by as many; the lowest point stands on y = 0."""
    local = pose.local.copy()
    stretched, back = axis_rotation(0, np.radians(degrees)), axis_rotation(0, -np.radians(degrees))
    for index, name in enumerate(body.names):
        if name.startswith("foot."):
            local[index] = local[index] @ stretched
        elif name.startswith("toe") and "-1." in name:
            local[index] = local[index] @ back
    return apply_pose(body, shaped, local, pose.kind)
