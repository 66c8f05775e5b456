"""``python -m avel``."""

from avel.cli import main

if __name__ == "__main__":
    main()
