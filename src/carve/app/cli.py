"""The command line. Everything heavy is imported by the command that needs it, so that `carve --help` answers at once."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from carve import __version__
from carve.app.batching.command import add_batch
from carve.app.demo import add_demo
from carve.app.export import add_export, add_options
from carve.app.report import add_report
from carve.app.research.evaluate import add_evaluate
from carve.app.research.synth import add_synth
from carve.app.research.train import add_train
from carve.app.serve import add_serve
from carve.person_height import standing_height

if TYPE_CHECKING:
    from carve.io.run_folder import Existing

PRESETS = ("fast", "standard", "best")
WORN = ("hair", "bag")
STAGES = ("observe", "fit_body", "evidence", "refit_body", "fit_face", "normals", "canonical", "refine", "texture", "rig")
"""Copies of `carve.settings`' closed choices, which cannot be imported without torch; a test holds them equal."""

DONE, STAGE_FAILED, UNUSABLE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
"""Exit codes."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
        self.exit(UNUSABLE, f"carve: {shown}; see {self.prog} --help\n")


class _Telling(argparse.ArgumentParser):
    """An argument parser for callers in the same process."""

    def error(self, message: str) -> NoReturn:
        from carve.files.text import readable
        from carve.records import CarveError

        raise CarveError(readable(f"{message[:1].upper()}{message[1:]}."))


def metres(text: str) -> float:
    """A person's height as people write it, metres."""
    try:
        return standing_height(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _parser() -> _Parser:
    parser = _Parser(prog="carve", description="One photo of a clothed person in, a textured, rigged avatar out.")
    parser.add_argument("--version", action="version", version=f"carve {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_reconstruct(commands.add_parser("reconstruct", help="make an avatar from a photo"))

    add_batch(commands.add_parser("batch", help="make avatars from many photos"), PRESETS)
    add_demo(commands.add_parser("demo", help="make an avatar from the example photo"), PRESETS)
    add_serve(commands.add_parser("serve", help="make avatars in the browser and over HTTP"))
    add_report(commands.add_parser("report", help="write one HTML page of a run or a batch"))

    preview = commands.add_parser("preview", help="render views of an avatar")
    preview.add_argument("avatar", type=Path, help="an output folder or a GLB file")
    preview.add_argument("--out", type=Path, help="the picture to write (default: NAME_views.png beside the GLB)")
    preview.add_argument("--turntable", type=Path, metavar="FILE", help="also write a turntable, .gif or .mp4")

    animate = commands.add_parser("animate", help="put motion on an avatar")
    animate.add_argument("avatar", type=Path, help="avatar.glb or an output folder")
    motion = animate.add_mutually_exclusive_group()
    motion.add_argument("--motion", type=Path, metavar="FILE", help="a BVH file, or a GLB with the clip of a humanoid rig")
    animate.add_argument("--map", type=Path, metavar="FILE", help='JSON of bones to the motion\'s joints, such as {"hips": "Pelvis"}')
    motion.add_argument("--walk", action="store_true", help="the built-in walk (default)")
    animate.add_argument("--out", type=Path, required=True, metavar="FILE", help="the animated GLB to write")
    animate.add_argument("--video", type=Path, metavar="FILE", help="also write a preview film, .gif or .mp4")

    add_export(commands.add_parser("export", help="write a finished avatar in another format"))
    commands.add_parser("doctor", help="say what is installed and what is missing")
    add_evaluate(commands.add_parser("evaluate", help="judge methods on cases whose geometry is known"), PRESETS)
    models = commands.add_parser("models", help="put the larger pose network in place")
    models.add_argument(
        "--from", dest="source", metavar="SOURCE", help="npm, download (mediapipe's storage) or a file (default: npm if it is installed)"
    )
    add_synth(commands.add_parser("synth", help="make synthetic people for training"))
    add_train(commands.add_parser("train", help="train a network on synthetic people"))
    commands.add_parser("settings", help="print every setting with its default as a settings file")
    return parser


def _add_reconstruct(command: argparse.ArgumentParser) -> None:
    command.add_argument("photo", type=Path, help="the picture of the person")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    command.add_argument("--preset", choices=PRESETS, help="speed against quality (default: standard)")
    person = command.add_argument_group("the person")
    person.add_argument("--person", type=int, metavar="N", help="which of several people: 0 is the largest, the order is report.json's")
    person.add_argument("--height", type=metres, metavar="M", help="standing height: 1.75, 175cm, 5'9, 69in")
    person.add_argument("--mask", type=Path, metavar="FILE", help="a picture of the photo's size, the person white")
    person.add_argument("--landmarks", type=Path, metavar="FILE", help="2D landmarks, such as DIR/stages/landmarks.json after editing")
    person.add_argument(
        "--back-photo", type=Path, metavar="FILE", help="the same person in the same clothes from behind, to colour the back"
    )
    person.add_argument("--without", action="append", default=[], choices=WORN, help="leave hair or a bag away; may be repeated")
    person.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels of the photo")
    person.add_argument("--body-model", type=Path, metavar="FILE", help="an SMPL or SMPL-X file that you hold a licence for")
    own = command.add_argument_group("normals and depth of your own (docs/own_normals.md)")
    own.add_argument("--normals-front", type=Path, metavar="FILE", help="a PNG of the photo's size, encoded as OUT/normals_front.png")
    own.add_argument("--normals-back", type=Path, metavar="FILE", help="the same for the back")
    own.add_argument("--normals-model", type=Path, metavar="FILE", help="an ONNX model; FILE's name with .json says what goes in and out")
    own.add_argument("--depth-model", type=Path, metavar="FILE", help="an ONNX model of depth, for the body's fit; a .json beside it too")
    settings = command.add_argument_group("settings")
    settings.add_argument("--settings", type=Path, metavar="FILE", help="a TOML file; `carve settings` prints one")
    settings.add_argument("--set", action="append", default=[], metavar="STAGE.FIELD=VALUE", help="one setting; may be repeated")
    settings.add_argument("--seed", type=int, metavar="N", help="seed of all random numbers (default: 0)")
    folder = command.add_argument_group("the output folder")
    existing = folder.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on with an earlier run: keep its stages whose input has not changed")
    existing.add_argument("--from", choices=STAGES, dest="start", metavar="STAGE", help="keep the stages before STAGE, run the rest again")
    existing.add_argument("--overwrite", action="store_true", help="write into a folder that holds something")
    folder.add_argument("--obj", action="store_true", help="also write avatar.obj with its texture")
    folder.add_argument("--ply", action="store_true", help="also write avatar.ply")
    add_options(command, formats=True)
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def reconstruct_arguments(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of `carve reconstruct` from the words after it. Raises CarveError where the command line would complain."""
    parser = _Telling(prog="carve reconstruct", add_help=False, allow_abbrev=False)
    _add_reconstruct(parser)
    return parser.parse_args(words)


def assignments(arguments: argparse.Namespace) -> list[str]:
    """The options that are short for a setting follow `--set`, so they win."""
    short = {
        "seed": arguments.seed,
        "observe.person": arguments.person,
        "observe.focal": arguments.focal,
        "fit_body.height": arguments.height,
    }
    without = [f"worn.{name}=false" for name in arguments.without]
    return [*arguments.set, *(f"{name}={value}" for name, value in short.items() if value is not None), *without]


def _reconstruct(arguments: argparse.Namespace) -> int:
    from carve.app.export import options_from
    from carve.app.progress import StageLines
    from carve.io.image import read_mask, read_photo
    from carve.io.landmark_file import read_landmarks
    from carve.io.run_folder import check_folder

    existing: Existing = "overwrite" if arguments.overwrite else "resume" if arguments.resume or arguments.start else "refuse"
    export = options_from(arguments)
    photo = read_photo(arguments.photo)
    check_folder(arguments.out, existing)
    # What the user gives beside the photo is read before the stages are loaded: what is wrong with it is told at once.
    mask = None if arguments.mask is None else read_mask(arguments.mask, photo.size)
    landmarks = None if arguments.landmarks is None else read_landmarks(arguments.landmarks)
    behind = None if arguments.back_photo is None else read_photo(arguments.back_photo)
    with StageLines(arguments.quiet) as lines:
        lines.progress("loading", 0.0)
        gc.disable()  # what is imported stays: looking for garbage in it would take half a second
        from carve.pipeline import reconstruct
        from carve.settings import make_settings

        gc.freeze()
        gc.enable()
        settings = make_settings(arguments.preset, arguments.settings, assignments(arguments))
        lines.progress("loading", 1.0)
        avatar = reconstruct(
            photo,
            settings,
            out=arguments.out,
            mask=mask,
            landmarks=landmarks,
            body_model=arguments.body_model,
            normals_front=arguments.normals_front,
            normals_back=arguments.normals_back,
            normals_model=arguments.normals_model,
            depth_model=arguments.depth_model,
            back_photo=behind,
            existing=existing,
            start=arguments.start,
            export=export,
            extras=[extra for extra in ("obj", "ply") if getattr(arguments, extra)],
            progress=lines.progress,
        )
        lines.summary(arguments.out, avatar.report)
    return DONE


def _glb(path: Path) -> Path:
    """The avatar's GLB: the file itself, or avatar.glb of an output folder."""
    from carve.files.fence import fence
    from carve.records import CarveError

    with fence(f"The avatar {path}"):
        file = path / "avatar.glb" if path.is_dir() else path
        if not file.is_file():
            raise CarveError(f"{file} does not exist; give an output folder of `carve reconstruct` or a GLB file.")
        return file


def _batch(arguments: argparse.Namespace) -> int:
    from carve.app.batching.command import run_batch

    return run_batch(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from carve.app.demo import demo_words
    from carve.app.report import run_report

    done = _reconstruct(_parser().parse_args(demo_words(arguments)))
    return done or run_report(argparse.Namespace(folder=arguments.out, out=None))


def _report(arguments: argparse.Namespace) -> int:
    from carve.app.report import run_report

    return run_report(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    from carve.app.serve import serve

    return serve(arguments)


def _preview(arguments: argparse.Namespace) -> int:
    from carve.files.whole import writing
    from carve.io.preview import preview_glb

    glb = _glb(arguments.avatar)
    out = arguments.out or glb.with_name(f"{glb.stem}_views.png")
    with writing(out):
        preview_glb(glb, out, arguments.turntable)
    print(out)
    return DONE


def _animate(arguments: argparse.Namespace) -> int:
    from carve.app.animate import animate
    from carve.files.text import readable
    from carve.files.whole import writing
    from carve.records import CarveError

    if arguments.map is not None and arguments.motion is None:
        raise CarveError("--map says what the joints of a motion are called; give --motion FILE with it.")
    with writing(arguments.out):
        notes = animate(_glb(arguments.avatar), arguments.out, arguments.motion, arguments.video, arguments.map)
    for note in notes:
        print(f"note: {readable(note)}", file=sys.stderr)
    print(arguments.out)
    return DONE


def _export(arguments: argparse.Namespace) -> int:
    from carve.app.export import run_export

    files = run_export(arguments)
    for file in files:
        print(file)
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from carve.app.doctor import doctor

    return doctor()


def _models(arguments: argparse.Namespace) -> int:
    from carve.app.models import models

    return models(arguments.source)


def _settings(arguments: argparse.Namespace) -> int:
    from carve.app.settings_page import settings_page

    print(settings_page(), end="")
    return DONE


def _evaluate(arguments: argparse.Namespace) -> int:
    from carve.app.research.evaluate import run_evaluate

    return run_evaluate(arguments)


def _synth(arguments: argparse.Namespace) -> int:
    from carve.app.research.synth import run_synth

    return run_synth(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from carve.app.research.train import run_train

    return run_train(arguments)


_COMMANDS = {
    "reconstruct": _reconstruct,
    "batch": _batch,
    "demo": _demo,
    "report": _report,
    "serve": _serve,
    "evaluate": _evaluate,
    "synth": _synth,
    "train": _train,
    "preview": _preview,
    "animate": _animate,
    "export": _export,
    "doctor": _doctor,
    "models": _models,
    "settings": _settings,
}


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors of the user's are one line on stderr."""
    os.environ.setdefault("GLOG_minloglevel", "2")  # mediapipe and TensorFlow Lite greet at every start otherwise
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments = _parser().parse_args(argv)
    from carve.records import CarveError, StageError

    try:
        Path.cwd()
    except OSError:
        _complain("the current folder is gone or may not be entered; change to another")
        return UNUSABLE
    try:
        return _COMMANDS[arguments.command](arguments)
    except CarveError as error:
        _complain(str(error))
        return UNUSABLE
    except StageError as error:
        _complain(str(error))
        return STAGE_FAILED
    except BrokenPipeError:
        raise
    except OSError as error:  # of what is in no fence: a path of the user's that the system does not take
        said = error.strerror or str(error)
        _complain(f"{error.filename} cannot be used: {said}." if error.filename else f"the system refused: {said}.")
        return UNUSABLE


def _complain(message: str) -> None:
    """One line on stderr, whatever a file's name in it holds; a stderr that is closed takes nothing."""
    from carve.files.text import readable

    with suppress(OSError, ValueError):
        print(f"carve: {readable(message)}", file=sys.stderr, flush=True)


def _open_streams() -> None:
    """Give the process the three standard streams, where a caller closed some: files opened later would take their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # stays open with the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text


def main() -> NoReturn:
    """Entry point of the command `carve`."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries warn their callers of is nothing to tell a user
    try:
        _open_streams()
        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        _complain("interrupted; finished stages are kept, go on with --resume")
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has gone; the interpreter's last flush must not fail
        code = PIPE_CLOSED
    gc.freeze()  # a last search for garbage in all modules would take a second
    sys.exit(code)
