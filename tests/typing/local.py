"""Never executed: mypy checks that the embedded engines are typed for those who use them."""

from __future__ import annotations

from pathlib import Path

from langchain_dynamodb.local import ENGINES, Engine, EngineError, EngineName, run_engine


def runs_an_engine(name: EngineName) -> dict[str, str]:
    """Names are literals, and what a client needs are plain strings."""
    with run_engine(name, data_dir=Path("data"), port=8000) as engine:
        url: str = engine.endpoint_url
        return engine.connection | engine.environment | {"endpoint_url": url}


def refuses_unknown_engines() -> Engine | None:
    """A typing error: no such engine."""
    try:
        with run_engine("dynalite") as engine:  # type: ignore[arg-type]
            return engine
    except EngineError:
        return None


first: EngineName = ENGINES[0]
