"""An embedded DynamoDB for demos and tests: moto (extra ``[local]``), or AWS's own DynamoDB Local on request.

::

    with run_engine() as engine:
        place = {"endpoint_url": engine.endpoint_url, "region_name": engine.region_name}
        async with AsyncSessionRepository("ChatTable", **place) as sessions: ...

The pytest plugin of this package gives the same as fixtures: `langchain_dynamodb_engine` and
`langchain_dynamodb_environment`.
"""

from .engine import ENGINES, Engine, EngineName, run_engine
from .requirements import EngineError

__all__ = ["ENGINES", "Engine", "EngineError", "EngineName", "run_engine"]
