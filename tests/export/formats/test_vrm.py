from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from browser import in_the_browser
from carve.app.animate import animate
from carve.export.options import ExportOptions, vrm_meta
from carve.export.outputs import vrm_bytes, write_format
from carve.export.records import Asset
from carve.gltf.reader import read_glb
from carve.records import Avatar, CarveError
from gltf_validator import assert_valid

LICENCE = "https://vrm.dev/licenses/1.0/"


@pytest.fixture(scope="module")
def options() -> ExportOptions:
    return ExportOptions(
        formats=("vrm",), vrm=vrm_meta("Ann", ["A. Author"], LICENCE, {"commercial_usage": "corporation"}, ["redistribution"])
    )


@pytest.fixture(scope="module")
def file(with_shapes: Asset, options: ExportOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vrm") / "avatar.vrm"
    path.write_bytes(vrm_bytes(with_shapes, options))
    return path


@pytest.fixture(scope="module")
def clip(naked: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in walk on Mixamo's skeleton."""
    folder = tmp_path_factory.mktemp("clip")
    write_format(folder / "mixamo.glb", "glb", naked, ExportOptions(skeleton="mixamo"))
    animate(folder / "mixamo.glb", folder / "walk.glb", None, None)
    return folder / "walk.glb"


def test_meta_is_what_was_given_and_the_rest_is_forbidden(file: Path) -> None:
    meta = read_glb(file).document.extensions["VRMC_vrm"]["meta"]
    assert (meta["name"], meta["authors"], meta["licenseUrl"]) == ("Ann", ["A. Author"], LICENCE)
    assert (meta["commercialUsage"], meta["avatarPermission"], meta["modification"]) == ("corporation", "onlyAuthor", "prohibited")
    assert meta["allowRedistribution"] and not meta["allowExcessivelyViolentUsage"]
    assert "CC0" in meta["thirdPartyLicenses"]


@pytest.mark.parametrize(
    ("authors", "licence", "choices", "allowed", "told"),
    [
        ([], LICENCE, {}, [], "--vrm-author"),
        ([" "], LICENCE, {}, [], "--vrm-author"),
        (["A"], None, {}, [], "--vrm-licence"),
        (["A"], "mine", {}, [], "no URL"),
        (["A\udcff"], LICENCE, {}, [], "plain text"),
        (["A"], f"{LICENCE}\n", {}, [], "plain text"),
        (["A"], LICENCE, {"modification": "sure"}, [], "--vrm-modification"),
        (["A"], LICENCE, {}, ["everything"], "--vrm-allow"),
    ],
)
def test_nothing_is_guessed(authors: list[str], licence: str | None, choices: dict[str, str], allowed: list[str], told: str) -> None:
    with pytest.raises(CarveError, match=told):
        vrm_meta(None, authors, licence, choices, allowed)


def test_another_licence_stands_beside_vrms_own(with_shapes: Asset, tmp_path: Path) -> None:
    meta = vrm_meta(None, ["A"], "https://example.org/mine", {}, [])
    (tmp_path / "own.vrm").write_bytes(vrm_bytes(with_shapes, ExportOptions(vrm=meta)))
    written = read_glb(tmp_path / "own.vrm").document.extensions["VRMC_vrm"]["meta"]
    assert (written["licenseUrl"], written["otherLicenseUrl"], written["name"]) == (LICENCE, "https://example.org/mine", "naked")


def test_the_validator_accepts_it(file: Path) -> None:
    assert_valid(file)


def test_three_vrm_loads_it_and_plays_a_clip(file: Path, clip: Path) -> None:
    seen = in_the_browser("vrm", file, clip)
    assert seen["meta"]["version"] == "1" and seen["bones"] == 54
    assert {"happy", "aa", "blink", "lookLeft", "jawOpen"} <= set(seen["expressions"])
    assert seen["jawOpen"] == pytest.approx(0.6) and seen["eyeBlinkLeft"] == pytest.approx(1)
    assert abs(seen["rest"]["lowest"]) < 1e-3
    np.testing.assert_allclose(np.array(seen["rest"]["leftHand"]) * [-1, 1, 1], seen["rest"]["rightHand"], atol=1e-3)
    assert max(map(abs, seen["low"])) < 0.02  # metres above and below the floor
    left = np.array(seen["feet"])[:, 0]
    assert np.ptp(left[:, 2]) > 0.3 and np.ptp(left[:, 1]) > 0.05
    assert len(seen["twist"]) == 2


def test_talkinghead_accepts_mixamos_skeleton_with_arkits_shapes(with_shapes: Asset, naked: Avatar, tmp_path: Path) -> None:
    write_format(tmp_path / "head.glb", "glb", naked, ExportOptions(skeleton="mixamo"))
    assert_valid(tmp_path / "head.glb")
    seen = in_the_browser("talkinghead", tmp_path / "head.glb")
    left, right, head, hips = (np.array(place) for place in seen["places"])
    assert seen["visemes"] == 15 and seen["morphs"] > 60
    assert left[0] > 0.15 and right[0] < -0.15 and left[1] < hips[1] + 0.4 < head[1]  # it stands with its arms down


def test_a_clip_of_another_rig_with_mixamos_names_plays_unchanged(naked: Avatar, clip: Path, tmp_path: Path) -> None:
    write_format(tmp_path / "other.glb", "glb", naked, ExportOptions(skeleton="mixamo", blendshapes="none"))
    seen = in_the_browser("clip", tmp_path / "other.glb", clip)
    hands = np.array(seen["hands"])
    assert seen["tracks"] > 15 and seen["morphs"] == 0
    assert hands[:, 1].max() < 1.2 and np.ptp(hands[:, 2]) > 0.15  # arms hang and swing


def test_a_vrm_keeps_vrms_names_whatever_the_glb_has(naked: Avatar, options: ExportOptions, tmp_path: Path) -> None:
    from dataclasses import replace

    write_format(tmp_path / "avatar.vrm", "vrm", naked, replace(options, skeleton="unreal", prefix="x_"))
    assert "leftUpperArm" in read_glb(tmp_path / "avatar.vrm").skeleton.names
