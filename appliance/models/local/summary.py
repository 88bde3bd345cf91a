"""A model on this machine, as the API and the commands show it."""

from typing import Literal

import msgspec

from appliance.models.local.abilities import why_not_for_agents
from appliance.models.local.index import ModelFile
from appliance.models.local.sources import Owner
from appliance.models.memory.fit import Fits, Machine, fits
from appliance.models.memory.usage import MemoryUse, expected

LoadStatus = Literal["unloaded", "loading", "ready", "failing", "failed"]


class RuntimeState(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is doing, if it is loaded or loading."""

    status: LoadStatus = "unloaded"
    progress: float = 0.0
    detail: str | None = None
    n_ctx: int | None = None
    device: str | None = None
    warning: str | None = None


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """An available model, or a model file that cannot be loaded."""

    id: str
    name: str
    path: str | None
    """None: it runs elsewhere, or is not downloaded."""
    owner: Owner | Literal["upstream", "configuration"]
    """The program that keeps the file; `upstream`: the model runs elsewhere; `configuration`: its
    file is not here."""
    repo: str
    """Where on the hub it came from, if that is known; else empty, like the texts that follow."""
    architecture: str
    quantization: str
    licence: str
    size: int
    """Bytes of its files."""
    context_length: int
    """Tokens that it was trained with; 0: unknown."""
    memory_bytes: int
    """What it takes, measured, if it is loaded, and would take, by estimate, if not: the sum of
    `memory`; 0: unknown."""
    memory: MemoryUse | None
    fits: Fits | None
    """None: unknown."""
    parameters: int
    """0: unknown."""
    embeds: bool
    """It makes vectors out of texts, and writes none."""
    tools: bool | None
    """It was trained to call functions; others get them described in the prompt. None: unknown, as
    in the next."""
    thinks: bool | None
    """It may think before it answers."""
    downloaded: bool
    default: bool
    """Requests that name no model get this one."""
    status: LoadStatus
    progress: float
    """0 … 1, while it loads."""
    detail: str | None
    """Why it is not ready."""
    n_ctx: int | None
    """Tokens that a chat may span, once it is loaded."""
    device: str | None
    aliases: tuple[str, ...] = ()
    """Other names for it, by the configuration."""
    not_for_agents: str = ""
    """Why coding agents can't work with it; empty: they can, as far as is known."""
    warning: str | None
    """What differs from the configuration, or from what the program that keeps it would do."""


def summarize(
    id: str,
    name: str,
    entry: ModelFile | None,
    *,
    machine: Machine,
    install_hint: str | None,
    loaded: RuntimeState,
    use: MemoryUse | None = None,
    default: bool,
    aliases: tuple[str, ...] = (),
) -> LocalModel:
    """
    Args:
        entry: of the index; None: its file is not here, or it runs elsewhere.
        install_hint: what gets its file; None: nothing is missing.
        loaded: what it is doing.
        use: what it takes of memory; None: it is not loaded.
        default: requests that name no model get it.
        aliases: see `LocalModel`.
    """
    facts = entry.facts if entry else None
    weight = facts.weight if facts and not facts.fault else None
    fault = facts.fault if facts else ""
    note = entry.defaults.note if entry else ""
    if use is None and weight:
        use = expected(weight, machine)
    return LocalModel(
        id=id,
        name=name,
        path=str(entry.path) if entry else None,
        owner=entry.owner if entry else "upstream" if install_hint is None else "configuration",
        repo=entry.repo if entry else "",
        architecture=facts.architecture if facts else "",
        quantization=facts.quantization if facts else "",
        licence=facts.licence if facts else "",
        size=facts.size if facts else 0,
        context_length=facts.context_length if facts else 0,
        memory_bytes=use.total if use else 0,
        memory=use,
        fits=fits(weight, machine.memory(), machine.gpu()) if weight else None,
        parameters=facts.parameters if facts else 0,
        embeds=bool(facts and facts.embeds),
        tools=facts.tools if facts else None,
        thinks=facts.thinks if facts else None,
        downloaded=entry is not None or install_hint is None,
        default=default,
        status="failed" if fault else loaded.status,
        progress=loaded.progress,
        detail=loaded.detail or fault or (None if entry else install_hint) or None,
        n_ctx=loaded.n_ctx,
        device=loaded.device,
        aliases=aliases,
        not_for_agents=why_not_for_agents(
            loaded.n_ctx or (facts.context_length if facts else 0),
            tools=facts.tools if facts else None,
            embeds=bool(facts and facts.embeds),
        ),
        warning="; ".join(filter(None, (loaded.warning, note))) or None,
    )
