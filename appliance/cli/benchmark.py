"""`appliance bench` and `appliance tune`: how fast a model runs here, and making it faster."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli import models, options
from appliance.config import terminal
from appliance.errors import ModelNotFound

if TYPE_CHECKING:
    from appliance.config.schema import Config
    from appliance.tuning.profile import Setting
    from appliance.tuning.protocol import Measured

ROUNDS = 5


@click.command()
@click.argument("model", required=False)
@options.config_file
@options.as_json
@click.option("--rounds", type=click.IntRange(1, 100), default=ROUNDS, help="Of each; medians.")
def bench(model: str | None, config_file: Path | None, as_json: bool, rounds: int) -> None:
    """Measure how fast MODEL reads prompts and writes on this machine's processor.

    MODEL is an id, a name or a GGUF file; without one, the default model.
    """
    config = options.configuration(config_file)
    from appliance.config import paths
    from appliance.config.environment import worker_environment
    from appliance.service import model_specs
    from appliance.tuning import settings
    from appliance.tuning.profile import profile_for, weights_of
    from appliance.tuning.tune import measure

    file = _file(config, model)
    profile = profile_for(file, settings.folder()) if config.engine.tune else None
    forms: dict[str, tuple[Path, Setting | None]] = {"as shipped": (file, None)}
    if profile and profile.faster:
        weights = weights_of(profile, settings.folder()) or file
        forms["tuned"] = (weights, profile.best.setting)
    variant = model_specs.variant(config, file)
    found = {}
    for name, (weights, setting) in forms.items():
        found[name] = measure(
            weights,
            setting=setting,
            rounds=rounds,
            variant=variant,
            command=paths.tuner_command(),
            environment=worker_environment(),
        )
    if as_json:
        options.print_json({"file": str(file), **{name: _json(m) for name, m in found.items()}})
        return
    options.say(f"{terminal.line(file.name)}, medians of {rounds}, tokens/s")
    for name, measured in found.items():
        speed = measured.speed
        options.say(
            f"  {name + ', ' + measured.weights:<22} prompts {speed.prefill:6.0f}   "
            f"one stream {speed.decode:6.1f}   8 streams {speed.decode_8:6.1f}"
        )


@click.command()
@click.argument("model", required=False)
@options.config_file
@options.as_json
@click.option(
    "--seconds", type=click.FloatRange(5, 3600), default=120.0, help="Time it may take; 120."
)
@click.option("--forget", is_flag=True, help="Run the original file again; measure nothing.")
def tune(
    model: str | None, config_file: Path | None, as_json: bool, seconds: float, forget: bool
) -> None:
    """Find out how MODEL runs fastest on this machine, and keep it.

    Nothing is kept whose output is not true to the original file, which is never touched. A running
    service uses what was found from the model's next load on.
    """
    config = options.configuration(config_file)
    from appliance.config import paths
    from appliance.config.environment import worker_environment
    from appliance.service import model_specs
    from appliance.tuning import settings
    from appliance.tuning.tune import render
    from appliance.tuning.tune import tune as find_fastest

    file = _file(config, model)
    if forget:
        settings.forget(file)
        if as_json:
            options.print_json({"forgotten": str(file)})
        else:
            options.say(f"{terminal.line(file.name)} runs as it was shipped.")
        return
    profile = find_fastest(
        file,
        settings.folder(),
        budget_seconds=seconds,
        progress=lambda line: options.say(line, err=True),
        command=paths.tuner_command(),
        environment=worker_environment(),
        variant=model_specs.variant(config, file),
    )
    if as_json:
        import msgspec

        options.print_json(msgspec.to_builtins(profile))
    else:
        options.say(render(profile))


def _file(config: "Config", named: str | None) -> Path:
    """The GGUF file of a model.

    Raises:
        ModelNotFound: there is none, or it is none that llama.cpp runs here.
    """
    from appliance.service import model_specs

    for spec in model_specs.specs(config):
        if named in (None, spec.id, spec.name):
            file = spec.file()
            if file is None:
                raise ModelNotFound(f"{spec.id} is no whole GGUF file that runs on this machine")
            return file
    file = Path(named or "").expanduser()
    if not file.is_file():
        found = models.find(config, named or "")
        if found["path"] is None:
            raise ModelNotFound(f"{found['id']} has no file on this machine")
        file = Path(found["path"])
    return file


def _json(measured: "Measured") -> dict[str, Any]:
    import msgspec

    return {
        "weights": measured.weights,
        "setting": msgspec.to_builtins(measured.setting),
        "tokens_per_second": msgspec.to_builtins(measured.speed),
    }
