"""The state of an agent whose messages are in LangGraph's `DeltaChannel`: in beta, so only its peer imports it."""

from __future__ import annotations

from typing import Annotated, Any

from langchain.agents import AgentState
from langgraph.channels import DeltaChannel
from langgraph.graph.message import _messages_delta_reducer


class DeltaState(AgentState[Any]):
    """An agent's state; checkpoints have what each step added to its messages, and now and then all of them."""

    messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer)]  # type: ignore[misc]
