"""Entry point of the command `carve`. It imports nothing at first, so that an interrupt is one line from the first moment on."""

from __future__ import annotations

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from carve.app.cli import main as run

        run()
    except KeyboardInterrupt:
        import os

        os.write(2, b"carve: interrupted before anything was done\n")
        os._exit(INTERRUPTED)  # half-imported packages may not survive an orderly end


if __name__ == "__main__":
    main()
