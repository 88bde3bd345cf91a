"""The default profile: how replies are generated unless a chat has its own settings."""

import falcon
import msgspec

from appliance.api.chat.schemas import SettingsIn
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool
from appliance.engine.types import DEFAULT_SAMPLERS, SamplingParams
from appliance.store.settings import DefaultProfile, Settings

operation = Operations("Settings")


class ProfileAnswer(Settings, frozen=True, kw_only=True):
    """The default profile, with the built-in defaults and the limits."""

    defaults: Settings
    """Values that apply where the profile has none; `max_tokens` null: as many as the context
    holds; `seed` null: any; `reasoning_effort` null: as the model does by itself."""
    limits: LimitsSettings


class ProfileSettings:
    """`/api/settings`"""

    def __init__(
        self, profile: DefaultProfile, pool: Pool, limits: LimitsSettings, device: str
    ) -> None:
        """`device`: the default of models that name none."""
        self._profile = profile
        self._pool = pool
        self._limits = limits
        self._device = device

    @operation(gives=ProfileAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The profile, what null means in it, and the limits."""
        resp.media = self._described(self._profile.get())

    @operation(takes=SettingsIn, gives=ProfileAnswer, errors=(507,))
    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Replace the profile; what is not given becomes null."""
        resp.media = self._described(self._profile.replace(decode(req, SettingsIn).to_settings()))

    @operation(takes=SettingsIn, gives=ProfileAnswer, errors=(507,))
    def on_patch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Change the fields that are given."""
        resp.media = self._described(self._profile.change(decode(req, SettingsIn).changes()))

    def _described(self, profile: Settings) -> ProfileAnswer:
        plain = msgspec.structs.asdict(SamplingParams(samplers=DEFAULT_SAMPLERS))
        sampling = {name: plain[name] for name in Settings.__struct_fields__ if name in plain}
        defaults = Settings(
            **sampling
            | {
                "model": self._pool.find(None).id,
                "device": self._device,
                "max_tokens": self._limits.max_response_tokens or None,
                "system_prompt": "",
            }
        )
        own = msgspec.structs.asdict(profile)
        return ProfileAnswer(**own, defaults=defaults, limits=self._limits)
