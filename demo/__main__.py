"""`make demo`: run the story, leave the cluster if KEEP=1, and end with a sentence where something is missing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from demo import failures, story
from demo.places import ROOT, Kind, Place, Testbed
from demo.screen import Screen
from demo.target import Machine, NowhereError, Target, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130
STEPS = (story.build, story.start, story.install, story.deploy, story.photograph, story.scale, story.delete)


def main() -> int:
    """Run the demo; what is missing on the machine ends it with a sentence and status 1."""
    arguments = parse()
    screen = Screen()
    try:
        target = choose(look_around(), arguments.on)
    except NowhereError as error:
        screen.console.print(str(error))
        return 1
    output = ROOT / "demo-output"
    output.mkdir(exist_ok=True)
    place: Place = Kind(output, version(), arguments.kind_image) if target is Target.KIND else Testbed(version())
    steps = STEPS[:-1] if arguments.keep else STEPS
    return tell(story.Demo(place, screen, output), steps, keep=arguments.keep)


def tell(demo: story.Demo, steps: Sequence[Callable[[story.Demo], None]], *, keep: bool) -> int:
    """Run the steps, end the cluster or leave it, and return the status: 1 where a step or the end failed.

    Ctrl-C ends the cluster as well, or leaves it; the status is then a shell's own for that.
    """
    status = 0
    try:
        for step in steps:
            step(demo)
    except failures.EXPECTED as error:
        status = 1
        demo.screen.fail(failures.explain(error))
        story.diagnose(demo)
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        ended = end(demo, keep=keep)
    if status or not ended:
        demo.screen.lines(left(demo.place) if keep or not ended else [])
        return status or 1
    demo.screen.close(last_words(demo.place, keep))
    return 0


def end(demo: story.Demo, *, keep: bool) -> bool:
    """End the cluster, or leave it; False, and a sentence on the screen, where it could not be ended."""
    if keep:
        demo.place.keep()
        return True
    try:
        demo.place.down()
    except failures.EXPECTED as error:
        demo.screen.fail(failures.explain(error), "The cluster could not be ended:")
        return False
    return True


def parse() -> argparse.Namespace:
    """Read the command line; KEEP=1 and KIND_IMAGE in the environment are --keep and --kind-image."""
    parser = argparse.ArgumentParser(prog="make demo", description="Show Foresail's main job on a real cluster.")
    parser.add_argument("--keep", action="store_true", default=os.environ.get("KEEP", "") not in {"", "0"})
    image = os.environ.get("KIND_IMAGE", "")
    parser.add_argument("--kind-image", default=image, help="what kind's node is made of; default: what kind knows")
    parser.add_argument("--on", type=Target, choices=list(Target), help="kind or testbed; default: what runs here")
    return parser.parse_args()


def look_around() -> Machine:
    """Return what this machine has."""
    return Machine(
        docker_answers=_docker_answers(),
        system=platform.system(),
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def version() -> str:
    """Return the project's version: the tag of its images."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


def last_words(place: Place, keep: bool) -> list[str]:
    """Return what to try next."""
    after = ["", "Look at demo-output/boxes.png and demo-output/scaling.png."]
    if keep:
        return [*after, *left(place)]
    return [
        *after,
        "Next:",
        "  make demo KEEP=1                      the same, and the cluster stays for your own kubectl",
        "  .venv/bin/foresail serve examples/03-retail-shelf/models/nanodet_g_416.onnx     no cluster at all",
        "  examples/README.md                    examples to read in their order, from numbers in a ConfigMap to GPUs",
    ]


def left(place: Place) -> list[str]:
    """Return how to use and how to end the cluster that was left; nothing where it never was up."""
    access = place.access()
    return ["The cluster is still there:", *(f"  {line}" for line in access)] if access else []


if __name__ == "__main__":
    sys.exit(main())
