"""From the canonical pose to the rest pose of the files: a T-pose as VRM 1.0 defines it, or an A-pose.

VRM's T-pose (vrm-c/vrm-specification, VRMC_vrm-1.0/tpose.md): upright, facing +Z, soles at y = 0, feet parallel to +Z, arms and fingers
along the x axis, palms down, thumbs level between x and +Z.

Notation: G_b the global rotation of bone b from the canonical to the rest pose, P_b that from the canonical pose to the photo's;
M_v = sum_b w_vb P_b G_b^-1 the affine map of a vertex from the rest pose to the photo's. The rest surface solves, for each vertex,
    min_x |M_v x - y_v|^2 + k |x - x'_v|^2,    x' the canonical surface in the rest pose by skinning, y the photo's surface,
so that re-posing gives the photo's surface wherever M_v does not fold the skin up (the elbow's crease), and x' there.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from carve.body.model import REGIONS
from carve.export.options import RestPose
from carve.geometry.mesh import face_normals
from carve.geometry.rotations import axis_rotation, rotation_between
from carve.geometry.skinning import blended_transforms
from carve.records import CanonicalSurface, Skeleton

ARM_LOWERED = np.radians(45.0)
"""Of the A-pose, radians."""
FOLDED = 1e-3
"""k in the notation: below about 0.03 of a map's singular values the skinned canonical surface decides."""
FOOT_YAW_LIMIT = np.radians(30.0)
"""A foot turned further than this against straight ahead is no measurement but a fault; it is turned by no more."""
FOOT_PITCH_LIMIT = np.radians(20.0)
"""The same about the axis from side to side."""
UP, FORWARD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def rest_rotations(surface: CanonicalSurface, rest: RestPose = "t") -> np.ndarray:
    """(B, 3, 3) global rotations of the skeleton's bones from the canonical to the rest pose."""
    skeleton = surface.skeleton
    index = {vrm: skeleton.names.index(bone) for vrm, bone in skeleton.humanoid.items()}
    fixed: dict[int, np.ndarray] = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        fixed |= _leg(surface, index, side, sign)
        fixed |= _hand(surface, index, side, sign)
    rotations = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    for bone, parent in enumerate(skeleton.parents):
        rotations[bone] = fixed.get(bone, rotations[parent] if parent >= 0 else np.eye(3))
    _half_turn_of_the_hands(rotations, skeleton, index)
    if rest == "a":
        for side, sign in (("left", 1.0), ("right", -1.0)):
            if f"{side}UpperArm" in index:
                arm = _subtree(skeleton.parents, index[f"{side}UpperArm"])
                rotations[arm] = axis_rotation(2, -sign * ARM_LOWERED) @ rotations[arm]
    return rotations


def _subtree(parents: np.ndarray, bone: int) -> np.ndarray:
    """(B,) bool: the bone and all below it."""
    inside = np.zeros(len(parents), bool)
    inside[bone] = True
    for child in range(bone + 1, len(parents)):
        inside[child] = inside[parents[child]] if parents[child] >= 0 else False
    return inside


def _leg(surface: CanonicalSurface, index: dict[str, int], side: str, sign: float) -> dict[int, np.ndarray]:
    """Thigh and shin straight down, the foot flat on the ground and straight ahead."""
    names = [f"{side}{bone}" for bone in ("UpperLeg", "LowerLeg", "Foot")]
    if any(name not in index for name in names):
        return {}
    hip, knee, foot = (index[name] for name in names)
    heads = surface.skeleton.heads
    thigh = rotation_between(heads[knee] - heads[hip], -UP)
    shin = rotation_between(thigh @ (heads[foot] - heads[knee]), -UP) @ thigh
    leg = heads[foot] - heads[hip]
    flat = axis_rotation(2, _sole_roll(surface, f"{side}_foot", -np.arctan2(leg[0], -leg[1])))
    fixed = {hip: thigh, knee: shin, foot: flat}
    if f"{side}Toes" in index:
        ahead = flat @ (_toe_base(surface.skeleton, index[f"{side}Toes"]) - heads[foot])
        yaw = float(np.clip(-np.arctan2(ahead[0], ahead[2]), -FOOT_YAW_LIMIT, FOOT_YAW_LIMIT))
        fixed[foot] = axis_rotation(1, yaw) @ flat
        fixed[foot] = axis_rotation(0, _sole_pitch(surface, f"{side}_foot", fixed[foot], index[f"{side}Toes"], foot)) @ fixed[foot]
    return fixed


def _sole_pitch(surface: CanonicalSurface, region: str, turn: np.ndarray, toes: int, foot: int) -> float:
    """The turn about x, radians, that brings the lowest point behind the ankle and that under the toes to one height."""
    heads = surface.skeleton.heads
    points = (surface.vertices[surface.region == REGIONS.index(region)] - heads[foot]) @ turn.T
    base = turn @ (_toe_base(surface.skeleton, toes) - heads[foot])
    heel, ball = points[points[:, 2] < 0], points[points[:, 2] > 0.8 * base[2]]
    if len(heel) == 0 or len(ball) == 0:
        return 0.0
    angle = 0.0
    for _ in range(3):  # which point is the lowest changes with the turn
        back, front = (part[(part @ axis_rotation(0, angle)[1]).argmin()] for part in (heel, ball))
        angle = float(np.arctan2(front[1] - back[1], front[2] - back[2]))
    return float(np.clip(angle, -FOOT_PITCH_LIMIT, FOOT_PITCH_LIMIT))


def _toe_base(skeleton: Skeleton, toes: int) -> np.ndarray:
    """(3,) where the toes begin: the middle of the first bones of all toes."""
    return skeleton.heads[skeleton.parents == skeleton.parents[toes]].mean(0)


def _sole_roll(surface: CanonicalSurface, region: str, guess: float) -> float:
    """The turn about z, radians, near `guess`, that lays the sole flat: the mean of the faces that look down then looks straight down."""
    faces = surface.faces[(surface.region[surface.faces] == REGIONS.index(region)).all(1)]
    if len(faces) == 0:
        return guess
    normals = face_normals(surface.vertices, faces)
    angle = guess
    for _ in range(3):
        turned = normals @ axis_rotation(2, angle).T
        length = np.maximum(np.linalg.norm(turned, axis=1), 1e-12)
        down = turned[turned[:, 1] < -np.cos(np.radians(35.0)) * length].sum(0)
        if -down[1] < 1e-9:
            return guess
        angle += float(np.arctan2(-down[0], -down[1]))
    return angle if abs(angle - guess) < np.radians(25.0) else guess


def _hand(surface: CanonicalSurface, index: dict[str, int], side: str, sign: float) -> dict[int, np.ndarray]:
    """The hand along x with its palm down, the fingers straight, the thumb level at 45 degrees."""
    heads, out = surface.skeleton.heads, np.array([sign, 0.0, 0.0])
    knuckles = [index.get(f"{side}{finger}Proximal") for finger in ("Index", "Middle", "Little")]
    hand = index.get(f"{side}Hand")
    if hand is None or any(k is None for k in knuckles):
        return {}
    first, middle, last = (heads[k] for k in knuckles if k is not None)
    along = middle - heads[hand]
    palm = sign * np.cross(
        along, first - last
    )  # of a left hand out along +x with the thumb side in front: along x, across z, so x x z = -y
    turn = frame(out, -UP) @ frame(along, palm).T
    fixed = {hand: turn}
    for finger in ("Thumb", "Index", "Middle", "Ring", "Little"):
        joints = ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal")
        chain = [index[name] for part in joints if (name := f"{side}{finger}{part}") in index]
        target = out + FORWARD if finger == "Thumb" else out
        above = turn
        for bone, direction in zip(chain, _directions(surface, chain), strict=True):
            above = rotation_between(above @ direction, target) @ above
            fixed[bone] = above
    return fixed


def _directions(surface: CanonicalSurface, chain: list[int]) -> list[np.ndarray]:
    """Canonical direction of each bone of a finger: to the next head, of the last to the middle of the skin that it moves."""
    heads = surface.skeleton.heads
    directions = [heads[after] - heads[bone] for bone, after in pairwise(chain)]
    if chain:
        own = (surface.weights * (surface.bones == chain[-1])).sum(1)
        tip = (own[:, None] * surface.vertices).sum(0) / own.sum() - heads[chain[-1]] if own.sum() > 1e-6 else np.zeros(3)
        directions.append(tip if np.linalg.norm(tip) > 1e-4 else directions[-1] if directions else FORWARD)
    return directions


def frame(along: np.ndarray, hint: np.ndarray) -> np.ndarray:
    """(3, 3) right-handed unit axes as columns: y along a direction, z as near to `hint` as can be."""
    y = along / np.linalg.norm(along)
    z = hint - (hint @ y) * y
    if np.linalg.norm(z) < 1e-6:
        z = np.eye(3)[np.abs(y).argmin()]
        z = z - (z @ y) * y
    z /= np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def _half_turn_of_the_hands(rotations: np.ndarray, skeleton: Skeleton, index: dict[str, int]) -> None:
    """Let a bone between forearm and hand take half of the hand's turn, in place, so that the wrist does not wring."""
    for side in ("left", "right"):
        if f"{side}Hand" not in index or f"{side}LowerArm" not in index:
            continue
        hand, arm = index[f"{side}Hand"], index[f"{side}LowerArm"]
        between = int(skeleton.parents[hand])
        if between == arm:
            continue
        axis = skeleton.heads[hand] - skeleton.heads[arm]
        axis = axis / np.linalg.norm(axis)
        turn = rotations[hand] @ rotations[arm].T
        sine = 0.5 * np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) @ axis
        half = 0.5 * np.arctan2(sine, 0.5 * (np.trace(turn) - 1))
        rotations[between] = about(axis, float(half)) @ rotations[arm]


def about(axis: np.ndarray, radians: float) -> np.ndarray:
    """(3, 3) rotation about a unit axis (3,), by Rodrigues' formula."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(radians) * k + (1 - np.cos(radians)) * k @ k


def rest_vertices(skinned: np.ndarray, posed: np.ndarray, maps: np.ndarray, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V, 3) rest surface, the minimum in the module's notation.

    Args:
        skinned: (V, 3) x', the canonical surface skinned to the rest pose.
        posed: (V, 3) y, the surface in the photo's pose.
        maps: (B, 3, 4) bones from the rest pose to the photo's.
        bones: (V, 4)
        weights: (V, 4)
    """
    blended = blended_transforms(maps, bones, weights)
    linear, offset = blended[..., :3], blended[..., 3]
    transposed = np.swapaxes(linear, 1, 2)
    system = transposed @ linear + FOLDED * np.eye(3)
    right = np.einsum("vij,vj->vi", transposed, posed - offset) + FOLDED * skinned
    return np.linalg.solve(system, right[..., None])[..., 0]
