"""`python -m penstock` and the `penstock` script."""

from penstock.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
