"""What the operator's start does without."""

from __future__ import annotations

import subprocess
import sys


def test_the_operator_starts_without_the_kubernetes_client_and_can_have_it_afterwards() -> None:
    program = (
        "import sys\n"
        "import foresail_operator.__main__\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] == 'kubernetes'))\n"
        "from kubernetes.aio import config\n"
        "print(config.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.split() == ["[]", "kubernetes.aio.config"]
