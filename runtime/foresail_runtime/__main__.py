"""The `foresail` command: `foresail serve MODEL.onnx` on a laptop, `foresail serve` in a pod."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import foresail_runtime
from foresail_runtime import contract, early, errors, settings
from foresail_runtime.engine import memory
from foresail_runtime.offline import command

if TYPE_CHECKING:
    from collections.abc import Sequence

ENV_REPOSITORY: Final = "FORESAIL_MODEL_REPOSITORY"
"""A folder of models to serve, where the command line names none."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    # Until the app has its own handlers: the first process of a container is deaf to signals it has none for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        sys.exit(2)
    try:
        code = options.run(options)
    except (errors.ModelUnusable, settings.SettingError, OSError) as error:
        print(f"foresail: {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # A run that hangs in native code must not keep the process: all that had to end has ended in App.
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="foresail", description=(foresail_runtime.__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"foresail {foresail_runtime.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve a model over HTTP and gRPC",
        description="Serve an ONNX model. Without MODEL, the folder of models is served that "
        f"{ENV_REPOSITORY} names, or the description that {contract.ENV_DESCRIPTION} names, as in a pod.",
    )
    serve.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .onnx file, a folder with one, a folder of models (MODEL/VERSION/model.onnx), or an http(s) address",
    )
    serve.add_argument("--name", help="the name in the URL (the file's, without .onnx)")
    serve.add_argument("--host", help="address to listen on (127.0.0.1; every one in a pod)")
    serve.add_argument("--http-port", type=int, metavar="PORT", help=f"({contract.HTTP_PORT}; 0: any free one)")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate and chain, in PEM; read again when it changes")
    serve.add_argument("--tls-key", metavar="FILE", help="its key, in PEM")
    serve.add_argument("--tls-ca", metavar="FILE", help="authorities of client certificates, which callers then need")
    serve.add_argument("--tokens", metavar="FILE", help="bearer tokens that open the server, one a line")
    serve.add_argument("--grpc-port", metavar="PORT", help=f"({contract.GRPC_PORT}; 0: any free one; off: no gRPC)")
    model = serve.add_argument_group("of one model, as a ModelDeployment's `serving` has them")
    model.add_argument("--task", help="tensors, image-classification, object-detection or tabular (auto)")
    model.add_argument("--providers", metavar="A,B", help="ONNX Runtime's execution providers in order of wish")
    model.add_argument("--max-batch", type=int, metavar="ROWS", help="rows that share a run (what the warm-up finds)")
    model.add_argument("--timeout", type=float, metavar="SECONDS", help="for a request to wait and run (60)")
    model.add_argument(
        "--instances", type=int, metavar="N", help="runs at a time, each with its share of the cores (1)"
    )
    serve.set_defaults(run=_serve)
    command.add(commands)
    return parser


def _serve(options: argparse.Namespace) -> int:
    chosen = _settings(options)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for connections; many a node gives 1,024 unasked
    listener = early.listen(chosen.host, chosen.http_port) if options.model is None else None
    gc.disable()  # what is imported stays: looking for garbage in it would be a tenth of the start
    # Imported here, so that --help and mistakes on the command line, and in a pod probes, are answered at once.
    from foresail_runtime import app, logs, termination  # noqa: PLC0415
    from foresail_runtime.engine import devices  # noqa: PLC0415

    gc.freeze()
    gc.enable()

    if (limit := memory.available()) is not None:  # else there is nobody who would end the process for it
        memory.give_back_large()
        if not devices.may_be_used():  # their libraries ask for addresses as far as their own memory reaches
            memory.refuse_absurd(limit)
    logs.configure(chosen.log_format, chosen.log_level)
    # Pillow warns of broken pictures in ever new words; what matters of it is answered to whoever sent one.
    warnings.filterwarnings("ignore", module=r"PIL\.")

    async def run() -> int:
        return await app.App(chosen, _source(options), _greet if options.model else None, listener).run()

    import uvloop  # noqa: PLC0415

    try:
        return uvloop.run(run())
    except errors.ModelUnusable as failure:
        termination.write(chosen.termination_path, failure, None)
        raise


def _settings(options: argparse.Namespace) -> settings.Settings:
    local = options.model is not None
    environment = dict(os.environ)
    given = {
        "FORESAIL_GRPC_PORT": options.grpc_port,
        "FORESAIL_HTTP_PORT": options.http_port,
        contract.ENV_TLS_CERT: options.tls_cert,
        contract.ENV_TLS_KEY: options.tls_key,
        contract.ENV_TLS_CA: options.tls_ca,
        contract.ENV_TOKENS: options.tokens,
    }
    environment |= {name: str(value) for name, value in given.items() if value is not None}
    if local:
        environment.setdefault("FORESAIL_HOST", "127.0.0.1")
        environment.setdefault("FORESAIL_DOWNLOAD_FOLDER", str(_cache_folder(environment)))
    else:
        environment.setdefault("FORESAIL_TERMINATION_PATH", contract.TERMINATION_MESSAGE_PATH)
        environment.setdefault("FORESAIL_LOG_FORMAT", "json")
    chosen = settings.read(environment, memory.available())
    return chosen if options.host is None else dataclasses.replace(chosen, host=options.host)


def _cache_folder(environment: dict[str, str]) -> Path:
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "foresail" / "models"


def _source(options: argparse.Namespace) -> contract.ModelDescription | Path:
    """Return the model to serve, or the folder of models."""
    from foresail_runtime import app  # noqa: PLC0415
    from foresail_runtime.repository import config, folder  # noqa: PLC0415

    asked = _of_the_model(options)
    given: str = options.model or os.environ.get(ENV_REPOSITORY, "")
    is_folder = bool(given) and "://" not in given and (options.model is None or folder.is_repository(Path(given)))
    if asked and (is_folder or options.model is None):
        where = f"each model's {config.OWN_FILE}" if is_folder else "the description"
        words = f"{', '.join(asked)}: a model's settings stand in {where} here, not on the command line"
        raise errors.ModelUnusable("DescriptionInvalid", words)
    if is_folder:
        return Path(given).resolve()
    if options.model is None:
        path = os.environ.get(contract.ENV_DESCRIPTION)
        if not path:
            raise errors.ModelUnusable(
                "DescriptionMissing",
                f"which model? Try `foresail serve MODEL.onnx`, or set {contract.ENV_DESCRIPTION} as the operator does",
            )
        return app.read_description(path)
    remote = options.model.startswith(("http://", "https://"))
    if not remote and not Path(options.model).exists():
        raise errors.ModelUnusable("ModelNotFound", f"there is no file {options.model}")
    path = None if remote else str(Path(options.model).resolve())
    uri = options.model if remote else f"file://{path}"
    name = options.name or _name(options.model)
    return contract.ModelDescription(name=name, uri=uri, path=path, **config.describe(asked))


def _of_the_model(options: argparse.Namespace) -> dict[str, object]:
    """Return the settings of the model that the command line has, named as in a ModelDeployment."""
    given = {
        "task": options.task,
        "executionProviders": None if options.providers is None else [*map(str.strip, options.providers.split(","))],
        "batching": None if options.max_batch is None else {"maxSize": options.max_batch},
        "timeoutSeconds": options.timeout,
        "instances": options.instances,
    }
    return {key: value for key, value in given.items() if value is not None}


def _name(model: str) -> str:
    stem = Path(model.split("?", 1)[0].rstrip("/")).name
    for suffix in (".onnx", ".gz", ".tar", ".tgz", ".zip"):
        stem = stem.removesuffix(suffix)
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in stem) or "model"


def _greet(running: object) -> None:
    from foresail_runtime import app, greeting  # noqa: PLC0415

    if isinstance(running, app.App):
        chosen, secure = running.settings, running.settings.tls_cert is not None
        print(
            greeting.text(running.serving, chosen.host, running.http_port, running.grpc_port, secure=secure), flush=True
        )


if __name__ == "__main__":
    main()
