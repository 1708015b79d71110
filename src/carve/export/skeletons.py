"""The skeleton of a file: which of the body model's bones it keeps, how it calls them, which way their axes lie.

Every bone's +Y axis runs to the next bone, as Blender and Mixamo have it, and the roll is theirs: Z forward in trunk and legs, up in the
feet, to the palm in arms and hands. A leaf bone of the forearm takes half of the hand's twist (`vrm`, `unreal`). Toes are one bone.

Notation: G_b global rotation and p_b head of a bone in some pose, against the canonical pose. Where bones between two kept ones go, the
upper one turns so that the lower one's head stays in its direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.export.bone_names import ROOTS, names_of, twist_name
from carve.export.options import SkeletonKind
from carve.export.records import Bones
from carve.export.rest_pose import frame
from carve.geometry.rotations import rotation_between
from carve.gltf.reader import VRM_BONES
from carve.records import Skeleton

TRUNK = ("hips", "spine", "chest", "upperChest", "neck", "head")


@dataclass(frozen=True)
class Selection:
    """Which bones of a body model's skeleton are kept."""

    kept: np.ndarray
    """(K,) int64 bones, parents first."""
    parents: np.ndarray
    """(K,) int64 into `kept`, -1 for the root."""
    taker: np.ndarray
    """(B,) int64 into `kept`: the bone that takes each bone's skin."""
    twists: dict[int, int]
    """Leaf bone -> the hand whose twist it takes, both into `kept`."""


def select(skeleton: Skeleton, kind: SkeletonKind) -> Selection:
    """The bones to keep: humanoid ones and the forearms' twist bones; for `vrm` also those that spread bend and twist of trunk and limbs.

    Other toes than the one that VRM names give their skin to it; whatever else goes gives it to the nearest kept bone above.
    """
    index = {vrm: skeleton.names.index(bone) for vrm, bone in skeleton.humanoid.items()}
    humanoid = set(index.values())
    leaves: dict[int, int] = {}
    for side in ("left", "right"):
        if f"{side}LowerArm" in index and f"{side}Hand" in index:
            between = int(skeleton.parents[index[f"{side}Hand"]])
            if between not in humanoid and kind != "mixamo":
                leaves[between] = index[f"{side}Hand"]
    toes = {index[f"{side}Toes"]: index[f"{side}Foot"] for side in ("left", "right") if f"{side}Toes" in index}
    keep = np.zeros(len(skeleton.names), bool)
    keep[list(humanoid | set(leaves))] = True
    if kind == "vrm":
        keep |= _between(skeleton, index)
    for toe, foot in toes.items():
        keep &= ~(_below(skeleton.parents, foot) & (np.arange(len(keep)) != toe))
    kept = np.flatnonzero(keep)
    place = {int(bone): k for k, bone in enumerate(kept)}
    of_foot = {foot: place[toe] for toe, foot in toes.items()}
    taker = np.zeros(len(keep), np.int64)
    parents = np.full(len(kept), -1, np.int64)
    for bone, above in enumerate(skeleton.parents):
        parent = int(above)
        if bone in place:
            taker[bone] = place[bone]
            while parent >= 0 and (parent not in place or parent in leaves):
                parent = int(skeleton.parents[parent])
            parents[place[bone]] = place[parent] if parent >= 0 else -1
        else:
            taker[bone] = of_foot.get(parent, taker[parent] if parent >= 0 else 0)
    return Selection(kept, parents, taker, {place[leaf]: place[hand] for leaf, hand in leaves.items()})


def _between(skeleton: Skeleton, index: dict[str, int]) -> np.ndarray:
    """(B,) bool: bones on the way from one humanoid bone to the next, but for those of the palm and those without length."""
    between = np.zeros(len(skeleton.names), bool)
    humanoid = set(index.values())
    hands = {index[name] for name in ("leftHand", "rightHand") if name in index}
    for bone in humanoid:
        way, above = [], int(skeleton.parents[bone])
        while above >= 0 and above not in humanoid:
            way.append(above)
            above = int(skeleton.parents[above])
        if above >= 0 and above not in hands:
            between[way] = True
    length = np.linalg.norm(skeleton.heads - skeleton.heads[np.maximum(skeleton.parents, 0)], axis=1)
    return between & (length > 1e-3)


def _below(parents: np.ndarray, bone: int) -> np.ndarray:
    """(B,) bool: what hangs on a bone, without itself."""
    inside = np.zeros(len(parents), bool)
    for child in range(bone + 1, len(parents)):
        inside[child] = parents[child] == bone or inside[parents[child]]
    return inside


def kept_heads(skeleton: Skeleton, heads: np.ndarray, chosen: Selection) -> np.ndarray:
    """(K, 3) heads of the kept bones out of those (B, 3) of all; the one bone of the toes begins in the middle of all toes.

    A twist bone begins at the wrist, like Unreal's: Blender lets a forearm end at its nearest child, and a roll acts alike anywhere.
    """
    result = heads[chosen.kept].copy()
    for leaf, hand in chosen.twists.items():
        result[leaf] = result[hand]
    for side in ("left", "right"):
        if f"{side}Toes" in skeleton.humanoid:
            toe = skeleton.names.index(skeleton.humanoid[f"{side}Toes"])
            result[np.flatnonzero(chosen.kept == toe)[0]] = heads[skeleton.parents == skeleton.parents[toe]].mean(0)
    return result


def kept_rotations(skeleton: Skeleton, chosen: Selection, rotations: np.ndarray, rest: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """(K, 3, 3) global rotations of the kept bones from rest to a pose.

    Args:
        skeleton: all bones.
        chosen: the kept ones.
        rotations: (B, 3, 3) global rotations of all bones from rest to the pose.
        rest: (B, 3) heads at rest.
        posed: (B, 3) heads in the pose.
    """
    result = rotations[chosen.kept].copy()
    turned: set[int] = set()
    for k, parent in enumerate(chosen.parents):
        bone = int(chosen.kept[k])
        if parent < 0 or int(parent) in turned or k in chosen.twists or skeleton.parents[bone] == chosen.kept[parent]:
            continue
        above = int(chosen.kept[parent])
        before, after = rest[bone] - rest[above], posed[bone] - posed[above]
        now = rotations[above] @ before
        if np.linalg.norm(before) > 1e-3 and np.linalg.norm(now - after) > 1e-6 * np.linalg.norm(before):
            result[parent] = rotation_between(now, after) @ rotations[above]
            turned.add(int(parent))
    return result


def bones_of(skeleton: Skeleton, chosen: Selection, heads: np.ndarray, kind: SkeletonKind, prefix: str) -> Bones:
    """The file's skeleton with heads (K, 3) in the rest pose; `prefix` goes before every name, such as `mixamorig:`."""
    vrm_of = {bone: vrm for vrm, bone in skeleton.humanoid.items()}
    table = names_of(kind)
    sources = tuple(skeleton.names[bone] for bone in chosen.kept)
    names = []
    for k, source in enumerate(sources):
        vrm = vrm_of.get(source)
        if vrm is not None:
            own = vrm if table is None else table[vrm]
        else:
            own = twist_name(kind, source) if k in chosen.twists else source
            own = f"{own}_bone" if own in VRM_BONES else own
        names.append(prefix + own)
    humanoid = {vrm_of[source]: name for source, name in zip(sources, names, strict=True) if source in vrm_of}
    axes = bone_axes([vrm_of.get(source) for source in sources], chosen.parents, heads, set(chosen.twists))
    twists = {names[leaf]: names[hand] for leaf, hand in chosen.twists.items()}
    return Bones(tuple(names), sources, chosen.parents, heads, axes, humanoid, twists, prefix + ROOTS[kind])


def bone_axes(vrm: list[str | None], parents: np.ndarray, heads: np.ndarray, leaves: set[int]) -> np.ndarray:
    """(K, 3, 3) axes of bones whose VRM names (or None) are given; the module says which way they lie."""
    axes = np.tile(np.eye(3), (len(heads), 1, 1))
    for k, name in enumerate(vrm):
        parent = int(parents[k])
        above = axes[parent] if parent >= 0 else np.eye(3)
        children = [int(c) for c in np.flatnonzero(parents == k) if c not in leaves]
        along = heads[k] - heads[parent] if parent >= 0 else np.array([0.0, 1.0, 0.0])
        end = _limb_end(vrm, name)
        if end is not None or children:
            along = heads[_main_child(vrm, children) if end is None else end] - heads[k]
        if name in ("hips", "head") or (name or "").endswith("Eye"):
            axes[k] = np.eye(3)
        elif k in leaves or (not children and not (name or "").endswith("Toes")) or np.linalg.norm(along) < 1e-4:
            axes[k] = above
        elif (name or "").endswith("Toes"):
            axes[k] = frame(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
        else:
            axes[k] = frame(along, _roll(name, along, above))
    return axes


def _limb_end(vrm: list[str | None], name: str | None) -> int | None:
    """Where a bone of arm or leg ends: at the next joint, whatever lies between."""
    for part, after in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot")):
        if name is not None and name.endswith(part) and name.removesuffix(part) + after in vrm:
            return vrm.index(name.removesuffix(part) + after)
    return None


def _main_child(vrm: list[str | None], children: list[int]) -> int:
    """The child that continues a bone: of the trunk's the next of the trunk, of a hand's the middle finger's, else the first."""
    for child in children:
        name = vrm[child] or ""
        if name in TRUNK or name.endswith("MiddleProximal"):
            return child
    return children[0]


def _roll(name: str | None, along: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Where the Z axis of a bone shall look; unnamed bones roll as the one above them."""
    if name is None:
        return above[:, 2]
    if name.endswith(("UpperLeg", "LowerLeg")) or name in TRUNK:
        return np.array([0.0, 0.0, 1.0])
    return np.array([0.0, 1.0, 0.0]) if name.endswith("Foot") else np.array([0.0, -1.0, 0.0])
