"""What a worker makes beside the run: pictures of the stages, motions for the viewer; and how it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("huey", reason="the web tests need the extra `web`")

from carve.export.glb import write_avatar_glb
from carve.io.run_folder import RunFolder
from carve.records import CarveError
from carve.web.guarding.checks import check_photo, sized_mask
from carve.web.jobs.stage_pictures import HEIGHT, StagePictures
from carve.web.motions import motions_document
from people import capsule_avatar
from web.uploads import picture, png_bomb


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> StagePictures:
    """Over a folder with the capsules' stages."""
    folder = tmp_path_factory.mktemp("stages")
    avatar = capsule_avatar()
    known: dict[str, Any] = {"photo": avatar.observation.photo}
    records = {
        "observe": avatar.observation,
        "fit_body": avatar.body,
        "normals": avatar.normals,
        "canonical": avatar.surface.canonical,
        "refine": avatar.surface,
        "texture": avatar.textured,
    }
    with RunFolder(folder / "run") as run:
        for stage, record in records.items():
            run.save(stage, record, {}, known)
            known[stage] = record
    (folder / "shown").mkdir()
    return StagePictures(folder / "run" / "stages", folder / "shown", avatar.observation.photo)


@pytest.mark.parametrize("stage", ["observe", "fit_body", "normals", "canonical", "refine", "texture"])
def test_a_stage_has_a_picture_with_the_person_in_it(pictures: StagePictures, stage: str) -> None:
    name = pictures.draw(stage)
    assert name is not None
    with Image.open(pictures._shown / name) as drawn:
        assert drawn.format == "WEBP" and drawn.height == HEIGHT and 100 < drawn.width < 3 * HEIGHT
        assert np.asarray(drawn.convert("L")).std() > 10


def test_the_rig_has_no_picture_and_a_missing_stage_is_an_error(pictures: StagePictures) -> None:
    assert pictures.draw("rig") is None
    with pytest.raises(CarveError):
        pictures.draw("evidence")


def test_people_are_told_in_shares_of_the_photo(pictures: StagePictures) -> None:
    boxes, person = pictures.people()
    assert person == 0 and boxes == [{"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}]


def test_motions_are_turns_of_the_avatars_own_nodes(tmp_path: Path) -> None:
    write_avatar_glb(tmp_path / "avatar.glb", capsule_avatar())
    document = motions_document(tmp_path / "avatar.glb")
    assert set(document) == {"walk", "idle", "wave", "stretch", "squat"}
    for name, motion in document.items():
        count = len(motion["root"])
        assert count > 20 and {len(turns) for turns in motion["nodes"].values()} == {count}
        for turns in motion["nodes"].values():
            q = np.array(turns)
            assert np.allclose(np.linalg.norm(q, axis=1), 1, atol=4e-3)
            steps = np.abs(np.diff(np.concatenate([q, q[:1]]), axis=0)).max(1)
            assert np.minimum(steps, np.abs(q[0] + q[-1]).max()).max() < 0.35, f"{name} jumps"
        heights = np.array(motion["root"])[:, 1]
        assert (np.ptp(heights) > 0.2) == (name == "squat")


def test_a_model_without_a_skeleton_has_no_motions(tmp_path: Path) -> None:
    from carve.gltf.writer import write_posed_glb

    avatar = capsule_avatar()
    write_posed_glb(tmp_path / "posed.glb", avatar, avatar.surface.vertices)
    assert motions_document(tmp_path / "posed.glb") == {}


def test_a_smaller_mask_of_the_same_proportions_is_brought_to_the_photos_size(tmp_path: Path) -> None:
    half = np.zeros((60, 40), np.uint8)
    half[20:40, 10:30] = 255
    Image.fromarray(half).save(tmp_path / "mask", "PNG")
    mask = sized_mask(tmp_path / "mask", (80, 120))
    assert mask.shape == (120, 80) and mask.dtype == np.float32 and mask.min() == 0 and mask.max() == 1
    assert abs(mask.mean() - (half > 0).mean()) < 0.01 and mask[60, 40] == 1 and mask[10, 10] == 0


def test_a_photo_is_checked_and_shown_small(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(picture("PNG", (400, 3000)))
    assert check_photo(tmp_path / "photo", tmp_path / "shown.webp", 10**7) == (400, 3000)
    with Image.open(tmp_path / "shown.webp") as shown:
        assert max(shown.size) == 1600
    with pytest.raises(CarveError, match="megapixels"):
        check_photo(tmp_path / "photo", tmp_path / "shown.webp", 10**6)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo").write_bytes(png_bomb(9000, 9000))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(CarveError) as told:
        check_photo(tmp_path / "photo", tmp_path / "shown.webp", 50_000_000)
    assert str(tmp_path) not in str(told.value)
