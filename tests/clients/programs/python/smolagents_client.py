"""smolagents: an agent that must call a tool, on Chat Completions and the real model."""

from report import CHAT, KEY, REAL, REAL_URL, report
from smolagents import OpenAIModel, ToolCallingAgent


def agent() -> None:
    model = OpenAIModel(model_id=REAL, api_base=f"{REAL_URL}/v1", api_key=KEY, max_tokens=300)
    worker = ToolCallingAgent(tools=[], model=model, max_steps=1, verbosity_level=0)
    worker.run("Say hello.")
    # The only tool that it has is the one to answer with; a small model gets its arguments wrong.
    (call,) = worker.memory.steps[1].tool_calls
    assert call.name == "final_answer"


report(CHAT, agent=agent)
