"""`python -m ponder` is `ponder`."""

from ponder.cli import main

main()
