"""A child that does not outlive its parent.

`python -I -S child.py SIGNAL COMMAND...` asks Linux for the signal, then becomes the command. Standard library
only, and no import of the package: it runs before each server and must cost milliseconds.
Elsewhere than on Linux the request is left out; there the supervisor's own clean-up is all there is.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[1]), 0, 0, 0)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose


if __name__ == "__main__":
    main()
