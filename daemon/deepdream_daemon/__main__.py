"""``python -m deepdream_daemon`` is ``deepdream``."""

from deepdream_daemon.commands import main

if __name__ == "__main__":
    main()
