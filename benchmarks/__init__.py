"""Figures, each beside its baseline in the same run: `python -m benchmarks` lists them.

A benchmark is a module here with ``run(arguments) -> Iterable[Table]`` (`benchmarks.measure`). ``arguments.quick`` asks
for less than a minute. Where it needs more to be told, ``options(parser)`` adds arguments of its own.
"""
