"""Write the files of a run before anything starts."""

import datetime as dt
import json
from pathlib import Path

from foresail_testbed import archive, cgroups, layout, manifests, options, pki

KWOK_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


def write_files(run: layout.Run, wish: options.Options, programs: dict[str, str]) -> None:
    """Write certificates, settings and links to the programs into a fresh run folder."""
    for folder in (run.logs, run.bin):
        folder.mkdir()
    for name, path in programs.items():
        (run.bin / name).symlink_to(path)
    run.spec.write_text(wish.encode())
    pki.write_all(run, dt.datetime.now(dt.UTC))
    for user in pki.CLIENTS:
        run.kubeconfig(user).write_text(manifests.kubeconfig(run, user))
    if wish.audit_users:
        (run.folder / "audit.json").write_text(manifests.audit_policy(wish.audit_users))
    if wish.kwok_nodes:
        (run.folder / "kwok-stages.yaml").write_text(join_stages(Path(programs["kwok-stages"])))
    if wish.kubelets:
        write_nodes(run, wish)
        archive.write_program(run.pause_image, manifests.PAUSE_IMAGE, Path(programs["pause"]))


def join_stages(folder: Path) -> str:
    """Join kwok's own rules of how nodes and pods come and go."""
    return "\n---\n".join((folder / stage).read_text() for stage in KWOK_STAGES)


def write_nodes(run: layout.Run, wish: options.Options) -> None:
    """Write the settings of every node there may be, for nodes can join later."""
    corefile = manifests.corefile().replace("KUBECONFIG", str(run.kubeconfig("coredns")))
    (run.folder / "Corefile").write_text(corefile)
    for index in range(1, options.MAX_NODES + 1):
        node = options.NodePlan(index)
        folder = run.node(node.name)
        (folder / "cni").mkdir(parents=True)
        root = cgroups.root_of(run.name, node.name)
        run.kubeconfig(node.name).write_text(manifests.kubeconfig(run, node.name))
        (folder / "kubelet.json").write_text(manifests.kubelet(run, node, root, wish))
        (folder / "containerd.toml").write_text(manifests.containerd(run, node, str(run.bin)))
        (folder / "cni" / "10-pods.conflist").write_text(manifests.cni(run, node))


def write_state(run: layout.Run, keeper: int, init: int) -> None:
    """Note which processes of this host carry the run; whole or not at all."""
    draft = run.state.with_suffix(".draft")
    draft.write_text(json.dumps({"keeper": keeper, "init": init}))
    draft.rename(run.state)
