"""One fence around every reader: whatever a damaged or hostile file makes a library raise is one sentence that names the file.

Decoders raise far more than they document (zlib, struct, tokenize, Runtime, NotImplemented, Recursion, Memory, Overflow, Unicode, Key ...),
so a list of what a reader may meet is never complete. Inside the fence stands only what reads one file; nothing is passed over there.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from carve.records import CarveError, StageError

REASON_LENGTH = 160
"""Characters of a library's message that are passed on."""
_TOO_LONG = (errno.ENAMETOOLONG, errno.EINVAL)


class OversizeError(ValueError):
    """A file declares more than a reader is willing to take memory for; the message is a clause without the file's name."""


@contextmanager
def fence(what: str, remedy: str = "get it again or save it anew", where: str = "") -> Iterator[None]:
    """Around the reading of one file.

    Args:
        what: the file as a sentence begins with it, `The photo a.jpg`.
        remedy: what the user can do if it is damaged.
        where: the place in it that is read, ` at array 'f'`.

    Raises:
        CarveError: whatever was raised inside, as one sentence; a CarveError passes as it is.
    """
    try:
        yield
    except (CarveError, StageError):
        raise
    except OversizeError as error:
        raise CarveError(f"{what} {error}; {remedy}.") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CarveError(f"{what} does not exist.") from error
    except PermissionError as error:
        raise CarveError(f"{what} may not be read; change its permissions or those of its folder.") from error
    except IsADirectoryError as error:
        raise CarveError(f"{what} is a folder and cannot be read; give a file.") from error
    except MemoryError as error:
        raise CarveError(f"{what} asks for more memory than there is; {remedy}.") from error
    except RecursionError as error:
        raise CarveError(f"{what} is nested too deeply; {remedy}.") from error
    except OSError as error:
        if error.errno in _TOO_LONG:
            raise CarveError(f"{what} has a name that this system does not take; rename it.") from error
        damage = "" if error.errno else "damaged or cut off: "  # without a number it is a decoder's own
        raise CarveError(f"{what} cannot be read{where} ({damage}{reason(error)}); {remedy}.") from error
    except Exception as error:
        raise CarveError(f"{what} cannot be read{where} (damaged or cut off: {reason(error)}); {remedy}.") from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of extensions in Rust (safetensors); no subclass of Exception
            raise CarveError(f"{what} cannot be read{where} (damaged or cut off: {reason(error)}); {remedy}.") from error
        raise


def reason(error: BaseException) -> str:
    """A library's message as one short line; the kind of error where it says nothing."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
    text = text if text and not isinstance(error, KeyError) else f"{type(error).__name__} {text}".strip()
    return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 3] + "..."
