"""`python -m carve` is the command `carve`."""

from carve.app.entry import main

main()
