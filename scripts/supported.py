"""Can this project be installed here? python3 scripts/supported.py

It runs on any Python 3 and needs no package: `make` asks it before it installs anything.
"""

import platform
import sys


def refusal(python, system, machine):
    """Say in one line why it cannot.

    Args:
        python: version as a tuple of numbers.
        system: `Linux`, `Darwin` or `Windows`.
        machine: `x86_64`, `arm64`, ... of the Python, which another one may emulate.

    Returns:
        Empty where nothing is known against it.
    """
    start = "Found Python %d.%d" % python[:2]  # noqa: UP031 (also for Python 3.5)
    if python < (3, 11):
        return start + ", expected 3.11 or newer: make PYTHON=python3.12 ..."
    # Of torch 2.15.0 there are packages for Linux, Windows on x64 and macOS 14 on Apple silicon.
    if system == "Darwin" and machine == "x86_64":
        return (
            start + " for Intel Macs, for which PyTorch ends at 2.2.2 (expected 2.11 or newer). On "
            "Apple silicon take a Python for arm64, instead of an Intel Mac a Linux machine."
        )
    if system == "Windows" and machine.upper() == "ARM64":
        return start + " for Windows on ARM, for which PyTorch has no package. Take one for x64."
    if system == "Windows" and machine.lower() in ("x86", "i386", "i686"):
        return start + " with 32 bits, for which PyTorch has no package. Take one with 64 bits."
    return ""


if __name__ == "__main__":
    sys.exit(refusal(sys.version_info[:3], platform.system(), platform.machine()) or 0)
