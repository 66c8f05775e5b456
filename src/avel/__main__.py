"""``python -m avel``."""

from avel.cli.main import main

if __name__ == "__main__":
    main()
