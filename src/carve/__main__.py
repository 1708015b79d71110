"""`python -m carve` is the command `carve`."""

from carve.app.cli import main

main()
