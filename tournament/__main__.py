"""`python -m tournament` is the command `tournament`."""

from tournament.run import main

if __name__ == "__main__":
    raise SystemExit(main())
