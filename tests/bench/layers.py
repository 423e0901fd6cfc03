"""Where CPU time goes: samples of the stack, by layer; shows what is left to us when the SDK has had its share."""

from __future__ import annotations

import gc
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType

INTERVAL = 0.0005  # seconds of CPU time between samples
SDK = "aioboto3 and what it stands on"
REST = "event loop, benchmark"
_LAYERS = {
    "aioboto3": SDK,
    "aiobotocore": SDK,
    "boto3": SDK,
    "botocore": SDK,
    "aiohttp": SDK,
    "lines.py": "deflate, inflate",
    "codec": "messages to JSON and back",
    "expressions.py": "conditions and expressions",
    "conditions.py": "conditions and expressions",
    "attribute_values.py": "conditions and expressions",
    "parsing.py": "items checked field by field",
}
LAYERS = (SDK, *dict.fromkeys(layer for layer in _LAYERS.values() if layer != SDK), "the rest of ours", REST)


def layer_of(path: str) -> str | None:
    """The layer of a source file; None: it works for whoever called it."""
    parts = Path(path).parts
    if "langchain_dynamodb" in parts:
        return next((_LAYERS[part] for part in reversed(parts) if part in _LAYERS), "the rest of ours")
    return next((_LAYERS[part] for part in parts if part in _LAYERS), None)


class Sampler:
    """Counts, on every tick of the process's CPU time, the layer that was at work: the innermost that has one."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self._known: dict[str, str | None] = {}

    def __enter__(self) -> Sampler:
        self._before = signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            if path not in self._known:
                self._known[path] = layer_of(path)
            if layer := self._known[path]:
                break
            frame = frame.f_back
        else:
            layer = REST
        self.samples[layer] += 1


async def measure_layers(operation: Callable[[], Awaitable[object]], seconds: float) -> dict[str, float]:
    """Microseconds of CPU that one call takes in each layer."""
    gc.collect()
    gc.freeze()  # what full collections take depends on all that the process holds
    calls, begin = 0, time.process_time()
    with Sampler() as sampler:
        while not sampler.samples or time.process_time() - begin < seconds:
            await operation()
            calls += 1
    gc.unfreeze()
    each = (time.process_time() - begin) * 1e6 / calls / sampler.samples.total()
    return {layer: round(sampler.samples[layer] * each, 1) for layer in LAYERS}
