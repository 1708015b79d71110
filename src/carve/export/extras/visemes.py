"""Mouth shapes of sounds and moods, mixed from ARKit's shapes.

The visemes are the 15 that Oculus' and most lip-sync programs know; the moods are VRM 1.0's presets. The shares are our own, from what
phonetics says of lips and jaw at each sound.
"""

from __future__ import annotations


def _both(name: str, share: float) -> dict[str, float]:
    """The same share of a shape on both sides of the face."""
    return {f"{name}Left": share, f"{name}Right": share}


VISEMES: dict[str, dict[str, float]] = {
    "viseme_sil": {},
    "viseme_PP": {"mouthRollLower": 0.4, "mouthRollUpper": 0.4, "mouthPucker": 0.1} | _both("mouthPress", 0.4),
    "viseme_FF": {"jawOpen": 0.06, "mouthRollLower": 0.55, "mouthShrugUpper": 0.2} | _both("mouthUpperUp", 0.3),
    "viseme_TH": {"jawOpen": 0.15, "mouthFunnel": 0.1} | _both("mouthLowerDown", 0.2),
    "viseme_DD": {"jawOpen": 0.12} | _both("mouthLowerDown", 0.3) | _both("mouthUpperUp", 0.15),
    "viseme_kk": {"jawOpen": 0.2} | _both("mouthLowerDown", 0.2) | _both("mouthStretch", 0.1),
    "viseme_CH": {"jawOpen": 0.1, "mouthFunnel": 0.5, "mouthPucker": 0.15},
    "viseme_SS": {"jawOpen": 0.05} | _both("mouthStretch", 0.3) | _both("mouthSmile", 0.15) | _both("mouthLowerDown", 0.2),
    "viseme_nn": {"jawOpen": 0.12} | _both("mouthStretch", 0.1) | _both("mouthLowerDown", 0.2),
    "viseme_RR": {"jawOpen": 0.12, "mouthFunnel": 0.3, "mouthPucker": 0.15},
    "viseme_aa": {"jawOpen": 0.6} | _both("mouthLowerDown", 0.2),
    "viseme_E": {"jawOpen": 0.3} | _both("mouthStretch", 0.3) | _both("mouthSmile", 0.2),
    "viseme_I": {"jawOpen": 0.15} | _both("mouthSmile", 0.35) | _both("mouthStretch", 0.3),
    "viseme_O": {"jawOpen": 0.4, "mouthFunnel": 0.55, "mouthPucker": 0.2},
    "viseme_U": {"jawOpen": 0.15, "mouthFunnel": 0.25, "mouthPucker": 0.7},
}
"""Viseme -> shares of ARKit's shapes."""

EXPRESSIONS: dict[str, dict[str, float]] = {
    "happy": {"cheekSquintLeft": 0.5, "cheekSquintRight": 0.5} | _both("mouthSmile", 0.8) | _both("eyeSquint", 0.3),
    "angry": {"mouthShrugLower": 0.2}
    | _both("browDown", 0.9)
    | _both("noseSneer", 0.4)
    | _both("mouthFrown", 0.5)
    | _both("eyeSquint", 0.4),
    "sad": {"browInnerUp": 0.8, "mouthShrugLower": 0.3} | _both("mouthFrown", 0.7) | _both("eyeSquint", 0.2),
    "relaxed": _both("mouthSmile", 0.3) | _both("eyeSquint", 0.35) | _both("eyeBlink", 0.2),
    "surprised": {"browInnerUp": 0.8, "jawOpen": 0.35, "mouthFunnel": 0.2} | _both("browOuterUp", 0.7) | _both("eyeWide", 0.8),
    "aa": VISEMES["viseme_aa"],
    "ih": VISEMES["viseme_I"],
    "ou": VISEMES["viseme_U"],
    "ee": VISEMES["viseme_E"],
    "oh": VISEMES["viseme_O"],
    "blink": _both("eyeBlink", 1.0),
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "lookUp": _both("eyeLookUp", 1.0),
    "lookDown": _both("eyeLookDown", 1.0),
    "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
}
"""VRM 1.0's preset expressions -> shares of ARKit's shapes (`neutral` is the face at rest)."""
