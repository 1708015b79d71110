"""What Unreal's mannequin (and MetaHuman's body) calls the humanoid bones: VRM 1.0 humanoid bone -> joint."""

from __future__ import annotations

from carve.humanoid import FINGERS, table

UNREAL = table(
    "pelvis spine_01 spine_02 spine_03 neck_01 head",
    "clavicle upperarm lowerarm hand thigh calf foot ball",
    lambda side, name: f"{name}_{side[0]}",
    {finger: [f"{'pinky' if finger == 'Little' else finger.lower()}_0{number}" for number in (1, 2, 3)] for finger in FINGERS},
    eye="eye",
)
