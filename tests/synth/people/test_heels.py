"""High heels: the foot stands on its ball, the toes and the heel's tip on the ground."""

from __future__ import annotations

import numpy as np
import pytest

from carve.synth.cloth.dressing import skin_joints
from carve.synth.cloth.tailored import made_shoes, stiff_item
from carve.synth.people.bodies import FullBody, Traits, shape_body
from carve.synth.people.heels import on_heels
from carve.synth.people.poses import apply_pose
from carve.synth.tailor.figure import measured
from carve.synth.tailor.solid_pieces import SHOES, Stiff, stiff_piece
from carve.synth.wear.person import placed

MIDDLE = {"age": 0.7, "muscle": 0.5, "weight": 0.5, "height": 0.45, "proportions": 0.6, "cupsize": 0.5, "firmness": 0.5, "gender": 1.0}


@pytest.mark.parametrize("degrees", [16.0, 34.0])
def test_the_heel_is_as_high_as_the_foot_is_steep(full_body: FullBody, degrees: float) -> None:
    shaped = shape_body(full_body, Traits(30, MIDDLE, (1 / 3, 1 / 3, 1 / 3), {}, {}))
    flat = apply_pose(full_body, shaped, np.tile(np.eye(3), (len(full_body.names), 1, 1)))
    steep = on_heels(full_body, shaped, flat, degrees)
    bone = {name: full_body.names.index(name) for name in ("foot.L", "toe2-1.L", "toe2-2.L")}
    ankle, ball, toe = (steep.heads[index] - flat.heads[index] for index in bone.values())
    length = float(np.linalg.norm((flat.heads[bone["toe2-1.L"]] - flat.heads[bone["foot.L"]])[[0, 2]]))
    assert ankle[1] - ball[1] == pytest.approx(length * np.sin(np.radians(degrees)), rel=0.3)
    assert abs(toe[1] - ball[1]) < 0.006  # from the ball on it lies as before

    values = {name: sum(ends) / 2 for name, ends in SHOES["high_heels"].items()} | {"stand": degrees}
    item = stiff_item(
        full_body, shaped, stiff_piece(measured(full_body, shaped), skin_joints(full_body), Stiff("high_heels", "shoes", **values))
    )
    assert item.stand == degrees
    shoe = placed(item.pattern, shaped, steep).layer.posed
    left = shoe[shoe[:, 0] > 0]
    behind = left[:, 2] < steep.heads[bone["foot.L"], 2] + 0.02
    before = left[:, 2] > steep.heads[bone["toe2-1.L"], 2] - 0.02
    # The canonical pose itself tilts the feet by a centimetre; without the heel 4 to 8 cm would be missing.
    assert abs(left[behind, 1].min() - left[before, 1].min()) < 0.02
    waist = left[~behind & ~before]
    assert waist[:, 1].min() > left[:, 1].min() + 0.003  # hollow below the instep


def test_other_shoes_leave_the_feet_level(full_body: FullBody) -> None:
    shaped = shape_body(full_body, Traits(30, MIDDLE, (1 / 3, 1 / 3, 1 / 3), {}, {}))
    pose = apply_pose(full_body, shaped, np.tile(np.eye(3), (len(full_body.names), 1, 1)))
    np.testing.assert_allclose(on_heels(full_body, shaped, pose, 0.0).posed, pose.posed, atol=1e-12)
    assert all("stand" not in ranges for family, ranges in SHOES.items() if family != "high_heels")


@pytest.mark.parametrize(("years", "bare_legs", "worn"), [(8, True, "sneakers"), (30, False, "sneakers"), (30, True, "high_heels")])
def test_heels_are_for_grown_ups_with_bare_legs(
    full_body: FullBody, monkeypatch: pytest.MonkeyPatch, years: int, bare_legs: bool, worn: str
) -> None:
    middle = {family: {name: sum(ends) / 2 for name, ends in SHOES[family].items()} for family in ("high_heels", "sneakers")}
    drawn = iter(Stiff(family, "shoes", **values) for family, values in middle.items())
    monkeypatch.setattr("carve.synth.cloth.tailored.sample_stiff", lambda *_: next(drawn))
    shaped = shape_body(full_body, Traits(years, MIDDLE, (1 / 3, 1 / 3, 1 / 3), {}, {}))
    assert made_shoes(full_body, shaped, True, bare_legs, np.random.default_rng(0)).name == f"tailor-{worn}"
