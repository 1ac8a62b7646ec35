"""The runtime with eyes shut: `foresail` whose metrics count nothing, to see what counting costs."""

from foresail_runtime import __main__, metrics


def _nothing(*_: object, **__: object) -> None:
    pass


if __name__ == "__main__":
    for name in ("ran", "waited", "decoded", "encoded", "answered"):
        setattr(metrics.ModelMetrics, name, _nothing)
    __main__.main()
