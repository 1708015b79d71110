"""The library goes on where it was and counts what failed; one outfit in layers, stored and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carve.geometry.queries import MeshQueries
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import skin
from carve.synth.assets.files import no_assets
from carve.synth.cloth import library as module
from carve.synth.cloth.drapes import read_drape
from carve.synth.cloth.dressing import DressingError, drape_outfit, roomier, skin_joints
from carve.synth.cloth.library import FAILED, GIVEN_UP, have, make_tailors_library
from carve.synth.cloth.solver import Steps
from carve.synth.cloth.tailored import make_tailored, skinned_outfit, throws_over
from carve.synth.people.bodies import FullBody, ShapedBody, shape_body
from carve.synth.people.poses import apply_pose, sample_pose
from carve.synth.tailor.design import Design
from carve.synth.tailor.recipes import sample_design
from carve.synth.wear.garments import canonical_of, strongest_bones
from carve.synth.wear.wardrobe import Wardrobe

QUICK = Steps(substeps=8, settle_frames=3)


def test_members_that_are_there_are_not_made_again_and_failures_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, woman: ShapedBody
) -> None:
    asked: list[int] = []

    def pretend(body: FullBody, motions: tuple[Path, ...], index: int, *_: Any) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
        asked.append(index)
        if index == 2:
            raise DressingError("2 tee: it slid 0.40 m; 2 shorts: the simulation diverged")
        meta = {"traits": woman.traits, "pose": "standing", "report": {"seconds": 1.0}, "pieces": []}
        return meta, {"local": np.zeros((1, 3, 3))}, [f"{index} coat: stretched"] if index == 1 else []

    monkeypatch.setattr(module, "make_tailored", pretend)
    wanted = [(k, "train") for k in range(4)]
    lines: list[str] = []
    make_tailors_library(tmp_path, wanted[:2], 0, (), 1, lambda done, total, line: lines.append(line))  # type: ignore[arg-type]
    make_tailors_library(tmp_path, wanted, 0, (), 1, lambda done, total, line: lines.append(line))  # type: ignore[arg-type]
    assert asked == [0, 1, 2, 3]
    assert have(tmp_path) == {0, 1, 2, 3}
    assert (tmp_path / FAILED).read_text().splitlines() == [
        "1 coat: stretched",
        "2 tee: it slid 0.40 m",
        "2 shorts: the simulation diverged",
    ]
    assert (tmp_path / GIVEN_UP).read_text() == "2 shorts: the simulation diverged\n"
    assert not list(tmp_path.glob("*.part"))
    make_tailors_library(tmp_path, [(9, "val")], 0, (), 1, lambda *_: None, until=0.0)
    assert 9 not in have(tmp_path)


def test_ponchos_are_not_thrown_over_the_head(full_body: FullBody, woman: ShapedBody) -> None:
    local = np.tile(np.eye(3), (len(full_body.names), 1, 1))
    poncho, tee = (sample_design(family, np.random.default_rng(0)) for family in ("poncho", "tee"))
    still = apply_pose(full_body, woman, local, "still")
    local[[full_body.names.index(full_body.humanoid[f"{side}UpperArm"]) for side in ("left", "right")]] = axis_rotation(2, 1.3)
    raised = apply_pose(full_body, woman, local, "raised")
    assert [throws_over(full_body, pose, [tee, poncho]) for pose in (still, raised)] == [False, True]
    assert not throws_over(full_body, raised, [tee])


def test_outer_pieces_have_room_for_what_is_below() -> None:
    rng = np.random.default_rng(0)
    below, above = Design("hoodie", "top", upper=True, ease=0.05, sleeve_ease=0.05), sample_design("trench", rng)
    first, second = roomier([below, above])
    assert first == below
    assert second.ease > below.ease
    assert second.sleeve_ease > below.sleeve_ease


def test_a_member_is_dressed_in_layers_and_comes_back_with_all_that_is_sewn_on(tmp_path: Path, full_body: FullBody) -> None:
    meta, arrays, _ = make_tailored(full_body, (), 1, "train", 0, QUICK)
    again = make_tailored(full_body, (), 1, "train", 0, QUICK)
    assert all(np.array_equal(arrays[name], again[1][name]) for name in arrays)
    traits = meta.pop("traits")
    from dataclasses import asdict

    module.write_member(
        tmp_path, "00001_tailor", {"name": "00001_tailor", "split": "train", "tailored": True, "traits": asdict(traits), **meta}, arrays
    )
    stored = read_drape(tmp_path / "00001_tailor.json", Wardrobe(full_body, no_assets()))
    assert stored.tailored
    assert len(stored.pieces) == len(meta["pieces"]) >= 2
    shaped = shape_body(full_body, stored.traits)
    pose = apply_pose(full_body, shaped, stored.local)
    body = MeshQueries(pose.posed, full_body.faces, winding=True)
    for k, piece in enumerate(stored.pieces):
        pattern = piece.item.pattern
        assert len(pattern.offsets) > len(arrays[f"{k}_rest"])  # details add vertices
        bones, weights = strongest_bones(pattern)
        posed = skin(canonical_of(pattern, shaped, pattern.offsets / 10) + piece.moved, pose.transforms, bones, weights)
        assert body.inside(posed).mean() < 0.05
        assert np.abs(piece.moved).max() > 0.01


def test_a_piece_that_tears_is_refused_by_name(full_body: FullBody, woman: ShapedBody) -> None:
    pose = sample_pose(full_body, woman, (), np.random.default_rng(0))
    tight = Design("corset", "top", upper=True, ease=-0.05, hem=0.0)
    with pytest.raises(DressingError, match="corset"):
        drape_outfit(full_body, woman, pose, [tight], skin_joints(full_body), QUICK)


def test_without_a_library_clothes_follow_by_skinning(full_body: FullBody, woman: ShapedBody) -> None:
    pieces = skinned_outfit(full_body, woman, woman.traits, np.random.default_rng(2))
    assert pieces
    assert all(np.linalg.norm(piece.moved, axis=1).max() < 0.1 for piece in pieces)  # relief alone
