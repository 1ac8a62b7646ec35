"""What the operator's start does without."""

from __future__ import annotations

import subprocess
import sys


def _printed(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60)
    return done.stdout.split()


def test_the_operator_starts_without_the_kubernetes_client_and_can_have_it_afterwards() -> None:
    program = (
        "import sys\n"
        "import foresail_operator.__main__\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] == 'kubernetes'))\n"
        "from kubernetes.aio import config\n"
        "print(config.__name__)\n"
    )
    assert _printed(program) == ["[]", "kubernetes.aio.config"]


def test_the_operator_holds_no_authority_of_the_system_and_can_read_them_afterwards() -> None:
    program = (
        "import gc, os, ssl\n"
        "before = dict(os.environ)\n"
        "import foresail_operator.__main__\n"
        "from foresail_operator.scaling import scrape\n"
        "scraper = scrape.Scraper()\n"
        "held = [one for one in gc.get_objects() if isinstance(one, ssl.SSLContext)]\n"
        "print(len(held), sum(one.cert_store_stats()['x509'] for one in held))\n"
        "print(dict(os.environ) == before)\n"
    )
    assert _printed(program) == ["3", "0", "True"]
