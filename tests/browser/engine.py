"""Which browser looks at the page? Chromium as Qt WebEngine packages it: from the package index, without a screen.

Runs in an environment of its own, `.venv-browser`, until its parent closes its input; prints one line of JSON with the
port of its DevTools once it listens. Whoever drives it speaks to that port alone.
"""

import json
import os
import socket
import sys
import threading

LOOPBACK = "127.0.0.1"
# Never the network, nor the sandbox, which needs rights that containers do not give: it loads our own page alone.
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-proxy-server", "--disable-background-networking")


def main() -> None:
    """Run until the parent is gone."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    os.environ.update(
        QT_QPA_PLATFORM="offscreen",
        QTWEBENGINE_CHROMIUM_FLAGS=" ".join(_FLAGS),
        QTWEBENGINE_DISABLE_SANDBOX="1",
        QTWEBENGINE_REMOTE_DEBUGGING=f"{LOOPBACK}:{port}",
    )
    # Qt reads the environment as it loads.
    from PySide6.QtCore import QUrl
    from PySide6.QtWebEngineWidgets import QWebEngineView
    from PySide6.QtWidgets import QApplication

    application = QApplication([])
    view = QWebEngineView()
    view.setUrl(QUrl("about:blank"))
    view.show()

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    view.loadFinished.connect(lambda _: print(json.dumps({"port": port}), flush=True))
    application.exec()


if __name__ == "__main__":
    main()
