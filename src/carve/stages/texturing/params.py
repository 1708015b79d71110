"""Settings of the stage `texture`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from carve.bounds import Factor, Length, Rising, Scale


@dataclass(frozen=True)
class Params:
    """How the texture is made."""

    size: Annotated[int, Field(ge=256, le=8192)] = 2048
    """Texels along a side of the texture."""
    padding: Annotated[int, Field(ge=0, le=64)] = 6
    """Gap between charts, texels."""
    face_density: Annotated[float, Field(ge=0.5, le=5)] = 2.5
    """How many times more texels a metre the face has."""
    gutter: Annotated[int, Field(ge=0, le=64)] = 8
    """How far the rims' colours continue beyond the charts, texels; further off lie means, for the mip levels."""
    outline_margin: Annotated[float, Field(ge=0, le=0.1)] = 0.003
    """How far inside the person's outline a pixel must lie before it counts, share of the person's height in the photo."""
    occlusion_margin: Annotated[float, Field(ge=0, le=0.1)] = 0.004
    """How far from an edge where one part hides another a pixel must lie before it counts, share of the person's height."""
    occlusion_step: Scale = 0.03
    """Jump in depth that makes such an edge, metres."""
    grazing_degrees: Rising[Annotated[float, Field(ge=0, le=90)]] = (66.0, 84.0)
    """Angle between the normal and the viewing ray up to which the photo counts fully, and from which it counts nothing."""
    face_degrees: Annotated[float, Field(ge=0, le=90)] = 60.0
    """Angle between normal and ray beyond which the face takes the mirror image of its other half, if that is seen better."""
    depth_tolerance: Scale = 0.006
    """How far behind the nearest surface a texel may lie and still be seen, metres."""
    arm_margin: Length = 0.04
    """How far beside an arm or hand in front of it trunk and legs do not take the photo's colour if it is the arm's, metres: fits err."""
    arm_width: Length = 0.06
    """Half the width of such a strip around a forearm's landmarks, metres."""
    hand_margin: Length = 0.04
    """How far such a patch reaches beyond the landmarks of a hand, metres."""
    sure_margin: Length = 0.02
    """How far from outlines and such edges colours must lie before they spread to unseen places, metres: fits are not exact."""
    overlap: Length = 0.06
    """How far a region's colours may be taken from its neighbours', metres."""
    tone: Scale = 0.024
    """Scale over which the photo is averaged to a tone, metres; half of it for head, hands and feet."""
    reach: Scale = 0.03
    """Detail fades over this distance from pixels that show the region, metres."""
    contrast: tuple[Annotated[float, Field(ge=1, le=255)], Factor] = (8.0, 1.0)
    """Detail that differs from the tone by more than the first (of 255) plus the second times the cloth's usual contrast is left out."""
    labels: bool = True
    """Whether labels of front and back, where there are some, say what takes its colours from what."""
    delight: Literal["auto", "harmonics", "off"] = "auto"
    """`auto` takes the photo's light and shadows out of the texture, as the shading network tells them; `harmonics` a smooth light that is
    fitted to each label's colours, where there are labels; `off` keeps the photo."""
    patterns: bool = True
    """Whether the unseen parts of printed cloth and hair get more of the pattern that the photo shows of them; needs labels."""
    pull: Annotated[float, Field(ge=1e-4, le=10)] = 0.04
    """How firmly unseen places keep to what is known around their limb, against their neighbours."""
    across: Annotated[float, Field(ge=1e-5, le=1)] = 0.005
    """How readily tone spreads along a limb, against around it."""
