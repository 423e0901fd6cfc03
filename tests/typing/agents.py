"""Never executed: mypy checks the middleware as users write against it."""

from __future__ import annotations

from dataclasses import dataclass

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from langchain_dynamodb import AsyncSessionRepository, SessionRepository
from langchain_dynamodb.middleware import DynamoDBHistoryMiddleware


@dataclass
class Context:
    """What the application gives to each run."""

    user: str


def find_session(runtime: Runtime[Context], config: RunnableConfig) -> dict[str, object]:
    """The whole key of the run's session."""
    return {"PK": runtime.context.user, "SK": config["configurable"]["session_id"]}


async def the_middleware(model: BaseChatModel) -> None:
    """Either repository, a name or a function for the session; it fits agents with and without a context."""
    history = DynamoDBHistoryMiddleware(AsyncSessionRepository("Table"), limit=20, if_unchanged=True, must_exist=True)
    agent = create_agent(model, middleware=[history])
    await agent.ainvoke({"messages": [{"role": "user", "content": "hi"}]}, {"configurable": {"session_id": "s"}})
    by_key = DynamoDBHistoryMiddleware(SessionRepository("Table"), session=find_session)
    with_context = create_agent(model, middleware=[by_key], context_schema=Context)
    await with_context.ainvoke({"messages": []}, context=Context("ann"))
    DynamoDBHistoryMiddleware("T")  # type: ignore[arg-type]
    DynamoDBHistoryMiddleware(AsyncSessionRepository("Table"), 20)  # type: ignore[arg-type, call-arg]
    DynamoDBHistoryMiddleware(AsyncSessionRepository("Table"), session=7)  # type: ignore[arg-type]
