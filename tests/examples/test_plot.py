"""The load generator of the example that sleeps, run here: what it says, and the picture it draws."""

from __future__ import annotations

import base64
import http.server
import io
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import yaml
from PIL import Image

from tests.examples import examples

if TYPE_CHECKING:
    import pathlib

RED, BLUE = (192, 57, 43), (36, 113, 163)


class Model(http.server.BaseHTTPRequestHandler):
    """Answers each request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_08_scale_to_zero_draws_replicas_and_requests(tmp_path: pathlib.Path) -> None:
    documents = list(yaml.safe_load_all((examples.EXAMPLES / "08-scale-to-zero/load.yaml").read_text()))
    script = tmp_path / "load.py"
    script.write_text(documents[1]["data"]["load.py"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, str(script), f"http://127.0.0.1:{server.server_port}/", "--replicas", "localhost"]
    said = subprocess.run(
        [*command, "--requests", "2", "--pause", "0.6"], capture_output=True, text=True, check=True, timeout=30
    )
    server.shutdown()
    server.server_close()
    *lines, last = said.stdout.splitlines()
    assert [line[:14] for line in lines] == ["HTTP 200 after"] * 2
    name, _, text = last.partition(" ")
    picture = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(2**20) or ()}
    assert (name, picture.format or "PNG") == ("plot.png", "PNG")
    assert {RED, BLUE} <= colours
