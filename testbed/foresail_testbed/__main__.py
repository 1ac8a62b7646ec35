"""The command line of the testbed."""

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path

from foresail_testbed import assets, base_image, build, cluster, errors, images, layout, options, programs, runs


def main() -> int:
    """Carry out one command; a mistake of the user's ends with a sentence, not a stack trace."""
    arguments = build_parser().parse_args()
    try:
        result: int = arguments.run(arguments)
    except errors.TestbedError as error:
        print(f"foresail-testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return result


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="foresail-testbed",
        description="A real Kubernetes on this machine without Docker, in private namespaces; nothing is left of it.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_up(commands)
    for name, run, text in (
        ("down", down, "end a cluster"),
        ("status", status, "show a cluster's components and nodes"),
        ("add-node", add_node, "start one more node with a kubelet"),
    ):
        named(commands.add_parser(name, help=text, description=text)).set_defaults(run=run)
    config = named(commands.add_parser("kubeconfig", help="print the path of a kubeconfig for this shell"))
    config.add_argument("--inside", action="store_true", help="for processes that `exec` starts")
    config.set_defaults(run=kubeconfig)
    add_exec(commands)
    loader = named(commands.add_parser("load-image", help="put an image archive on every node"))
    loader.add_argument("archive", type=Path, help="OCI or Docker archive")
    loader.set_defaults(run=load_image)
    add_build(commands)
    add_images(commands)
    return parser


def named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option that says which cluster."""
    parser.add_argument("--name", default=options.Options.name, help="the cluster's name (default: %(default)s)")
    return parser


def add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `up` with a flag an option."""
    parser = named(commands.add_parser("up", help="start a cluster and leave it running"))
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--control-plane-only", action="store_true", help="no kubelet: for API-level and scale tests")
    shape.add_argument("--nodes", type=int, default=1, metavar="N", help="nodes with a kubelet (default: 1)")
    parser.add_argument("--kwok", type=int, default=0, metavar="N", help="nodes that kwok pretends (default: 0)")
    parser.add_argument("--kubernetes", default=options.KUBERNETES_VERSION, metavar="V", help="default: %(default)s")
    parser.add_argument("--no-metrics-server", action="store_true", help="no cpu and memory metrics")
    parser.add_argument("--no-dns", action="store_true", help="no names in the cluster")
    parser.add_argument("--no-hpa-scale-to-zero", action="store_true", help="switch the HPAScaleToZero gate off")
    parser.add_argument(
        "--controllers-qps",
        type=int,
        default=options.Options.controllers_qps,
        metavar="N",
        help="requests a second of controllers and scheduler; 0: Kubernetes' own (default: %(default)s)",
    )
    parser.add_argument("--audit-user", action="append", default=[], metavar="USER", help="log this user's requests")
    parser.set_defaults(run=up)


def add_exec(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `exec -- COMMAND`."""
    parser = named(commands.add_parser("exec", help="run a command inside, with KUBECONFIG and the programs on PATH"))
    parser.add_argument("command", nargs="+", help="say: -- kubectl get pods")
    parser.set_defaults(run=execute)


def add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `build [PROGRAM …]`."""
    parser = commands.add_parser("build", help="build programs into the cache")
    names = [program.name for program in programs.every()]
    parser.add_argument("program", nargs="*", help=f"default: all of {', '.join(names)}")
    parser.add_argument("--kubernetes", default=options.KUBERNETES_VERSION, metavar="V", help="default: %(default)s")
    parser.set_defaults(run=build_programs)


def add_images(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `build-base` and `build-image`."""
    base = commands.add_parser("build-base", help="make the base image from Debian's packages")
    base.set_defaults(run=build_base)
    image = commands.add_parser("build-image", help="build a Dockerfile's image and print its archive's path")
    image.add_argument("dockerfile", type=Path)
    image.add_argument("--tag", required=True, help="say: localhost/foresail-runtime:dev")
    image.add_argument("--context", type=Path, help="default: the Dockerfile's folder")
    image.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", help="BASE is set unless given"
    )
    image.set_defaults(run=build_image)


def up(arguments: argparse.Namespace) -> int:
    """Start a detached cluster."""
    wish = options.Options(
        name=arguments.name,
        kubernetes=arguments.kubernetes,
        nodes=0 if arguments.control_plane_only else arguments.nodes,
        kwok_nodes=arguments.kwok,
        metrics_server=not arguments.no_metrics_server,
        dns=not arguments.no_dns,
        hpa_scale_to_zero=not arguments.no_hpa_scale_to_zero,
        controllers_qps=arguments.controllers_qps or None,
        audit_users=tuple(arguments.audit_user),
    )
    started = cluster.Cluster.start(wish, detached=True, listener=tell)
    print(f"cluster {wish.name} is ready. Try:")
    print(f"  export KUBECONFIG={started.outside_kubeconfig()}")
    print(f"  {'kubectl' if shutil.which('kubectl') else assets.find_kubectl()} get nodes")
    print(f"  foresail-testbed exec --name {started.run.name} -- curl http://SERVICE_IP    # inside its network")
    print(f"  foresail-testbed down --name {started.run.name}")
    return 0


def tell(message: str) -> None:
    """Show a step of the start."""
    print(f"… {message}", file=sys.stderr)


def down(arguments: argparse.Namespace) -> int:
    """End a cluster; one that does not run is no error."""
    run = layout.Run.named(arguments.name)
    with contextlib.suppress(FileNotFoundError):
        if runs.alive(run):
            cluster.Cluster.attach(arguments.name).stop()
            print(f"cluster {arguments.name} has ended")
        elif run.folder.exists():
            with runs.exclusively():
                runs.remove_stale()  # a keeper that was killed has not
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print components with their state; exit status 1 if one has ended."""
    found = cluster.Cluster.attach(arguments.name)
    states = found.components()
    for name, pid in states.items():
        print(f"{name:32} {'running' if pid else 'ended'}")
    print(f"logs: {found.run.logs}")
    return 0 if all(states.values()) else 1


def kubeconfig(arguments: argparse.Namespace) -> int:
    """Print the path of a kubeconfig for this shell, or for processes inside."""
    found = cluster.Cluster.attach(arguments.name)
    print(found.kubeconfig if arguments.inside else found.outside_kubeconfig())
    return 0


def execute(arguments: argparse.Namespace) -> int:
    """Become the command, inside."""
    found = cluster.Cluster.attach(arguments.name)
    command = found.enter(arguments.command)
    os.execvpe(command[0], command, found.environment())  # noqa: S606 (becoming the command is what exec means)


def load_image(arguments: argparse.Namespace) -> int:
    """Load an archive."""
    cluster.Cluster.attach(arguments.name).load_image(arguments.archive)
    return 0


def add_node(arguments: argparse.Namespace) -> int:
    """Add a node and print its name."""
    print(cluster.Cluster.attach(arguments.name).add_node())
    return 0


def build_programs(arguments: argparse.Namespace) -> int:
    """Build what is not in the cache yet and print where it is."""
    usual = programs.every(arguments.kubernetes)
    known = {program.name: program for program in [*usual, programs.KIND]}
    unknown = [name for name in arguments.program if name not in known]
    if unknown:
        raise errors.TestbedError(f"there is no program {unknown[0]!r}; there are: {', '.join(known)}")
    for program in [known[name] for name in arguments.program] or usual:
        print(build.ensure(program))
    return 0


def build_base(_: argparse.Namespace) -> int:
    """Make the base image and print where it is."""
    print(base_image.ensure())
    return 0


def build_image(arguments: argparse.Namespace) -> int:
    """Build an image and print where it is."""
    wrong = [given for given in arguments.build_arg if "=" not in given]
    if wrong:
        raise errors.TestbedError(f"--build-arg {wrong[0]} has no value: write --build-arg {wrong[0]}=VALUE")
    if not arguments.dockerfile.is_file():
        raise errors.TestbedError(f"there is no file {arguments.dockerfile}")
    values = dict(given.split("=", 1) for given in arguments.build_arg)
    print(images.ensure(arguments.dockerfile, arguments.tag, values, arguments.context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
