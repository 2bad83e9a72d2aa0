"""The demo for whoever comes, as a Space or in a container: python -m demo.app."""

import os
import signal
import sys
import threading
from pathlib import Path

from demo import security


def main(weights: Path | None = None) -> None:
    """Serve until a signal, at every address of this machine, without a login.

    Args:
        weights: an exported network; by default as `python -m demo`. Environment variable `PORT`:
            where to listen, 7860 by default.
    """
    os.environ.pop("SYSTEM", None)  # in a Space, Gradio would start a server that changes code
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with security.private_folder() as folder:
        from chexnet.inference.predictor import default_weights
        from demo.server import serve

        port = int(os.environ.get("PORT", "7860"))
        with serve(folder, weights or default_weights(), host="0.0.0.0", port=port, public=True):
            print(f"Listening at port {port}. Not for clinical use.", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
