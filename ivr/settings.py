"""What an operator may set in `config/hotline.toml` (read by `settings_file.py`)."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ivr.speech.settings import SpeechSettings
from ivr.types import Language

Port = Annotated[int, Field(ge=1, le=65535)]


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.\-]{1,253}", value):
        raise ValueError("is not an address or a host name")
    return value


def _host_port(value: str) -> str:
    host, _, port = value.partition(":")
    _host(host)
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("is not host:port")
    return value


def _host_of(address: str) -> str:
    return address.partition(":")[0]


Host = Annotated[str, AfterValidator(_host)]
HostPort = Annotated[str, AfterValidator(_host_port)]


def _dialled(value: str) -> str:
    number = value.replace(" ", "")
    if not re.fullmatch(r"\+?[0-9]{2,18}", number):
        raise ValueError("is not a telephone number: use digits, blanks and a leading +")
    return number


DialledNumber = Annotated[str, AfterValidator(_dialled)]
Node = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]
"""The name of a machine that runs an Asterisk and a service."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceSettings(_Section):
    """The telephony process itself."""

    node: Node = "a"
    state_dir: Path = Path(".hotline")
    max_calls: Annotated[int, Field(ge=1, le=2000)] = 120
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 120
    http_host: Host = "127.0.0.1"
    http_port: Port = 8119


class FileSettings(_Section):
    """Where the project's own files are."""

    queues: Path = Path("queues")
    prompts: Path = Path("prompts")
    dialplans: Path = Path("dialplans")
    asterisk: Path = Path("config/asterisk")
    models: Path = Path(".hotline/models")


class AsteriskSettings(_Section):
    """Where Asterisk listens, and where it finds the service."""

    sip_host: Host = "127.0.0.1"
    sip_port: Port = 5060
    rtp_first: Port = 20000
    rtp_last: Port = 20999
    ami_port: Port = 5038
    agi_port: Port = 4573
    audiosocket_port: Port = 9092
    service_host: Host = "127.0.0.1"

    @model_validator(mode="after")
    def _rtp_range(self) -> "AsteriskSettings":
        if self.rtp_last - self.rtp_first < 15:
            raise ValueError("rtp_last must be at least 15 above rtp_first: a call needs 4 ports")
        return self


class TrunkSettings(_Section):
    """What comes in from the telephone network."""

    numbers: tuple[DialledNumber, ...] = ("19115",)
    incoming: tuple[Host, ...] = ("127.0.0.2",)
    outgoing: HostPort | None = None
    """Where callbacks are dialled; without one none are offered."""


class NodeSettings(_Section):
    """The nodes that share the board."""

    peers: dict[Node, HostPort] = {}
    """Name and Asterisk's SIP address; a node may be in its own list, so that all have the same."""


class EmergencySettings(_Section):
    """The two trunks that lead to 112."""

    number: Annotated[str, Field(pattern=r"^[0-9]{3,6}$")] = "112"
    trunk_a: HostPort = "127.0.0.5:5060"
    trunk_b: HostPort = "127.0.0.6:5060"
    ring_s: Annotated[int, Field(ge=10, le=180)] = 45


def _redis_url(value: str) -> str:
    from ivr.routing.redis_link import parse_address  # noqa: PLC0415 - commands start fast

    if "+" in value.partition("://")[0]:
        parse_address(value)
    return value


class RedisSettings(_Section):
    """The live state all processes share; of several servers see `ivr/routing/redis_link.py`."""

    url: Annotated[
        str,
        Field(pattern=r"^(redis|rediss|unix|redis\+sentinel|redis\+cluster)://"),
        AfterValidator(_redis_url),
    ] = "redis://127.0.0.1:6379/0"
    timeout_s: Annotated[float, Field(gt=0, le=10)] = 1.0


class CaseSettings(_Section):
    """Where cases are kept."""

    database: Annotated[
        str, Field(pattern=r"^(sqlite\+aiosqlite:///|postgresql\+asyncpg://).+")
    ] = "sqlite+aiosqlite:///.hotline/cases.db"


class DialogueSettings(_Section):
    """Times of the conversation, in seconds."""

    language: Language = "pl"
    speech_wait_s: Annotated[float, Field(ge=1, le=60)] = 6.0
    key_wait_s: Annotated[float, Field(ge=1, le=60)] = 8.0
    connecting_ring_s: Annotated[int, Field(ge=3, le=120)] = 15


class RoutingSettings(_Section):
    """Times of the board, in seconds."""

    lease_s: Annotated[float, Field(ge=2, le=120)] = 15.0
    wrap_up_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    reconcile_s: Annotated[float, Field(ge=0.5, le=120)] = 10.0
    pause_after_no_answer: bool = True
    telephone_logs_in: bool = True
    """Whether a consultant never seen before is available as soon as the telephone registers."""
    announce_s: Annotated[float, Field(ge=5, le=600)] = 45.0
    """How often who waits is told the place and the expected wait."""


class CallbackSettings(_Section):
    """Whom the hotline may call back, and how often."""

    offer: bool = True
    """Only with an outgoing trunk: `[trunks] outgoing`."""
    countries: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...], Field(min_length=1)
    ] = ("PL",)
    """Ordinary numbers of these countries, never premium ones."""
    ring_s: Annotated[int, Field(ge=5, le=120)] = 30
    retry_after_s: tuple[Annotated[float, Field(ge=0, le=86_400)], ...] = (120.0, 600.0)
    """Seconds between the tries; after the last try the case is left for a person."""
    per_minute: Annotated[int, Field(ge=1, le=600)] = 20
    per_day: Annotated[int, Field(ge=1, le=100_000)] = 1000
    most_open: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_age_s: Annotated[float, Field(ge=60, le=604_800)] = 28_800
    """Older ones are left for a person."""


class Settings(BaseSettings):
    """All settings. The environment overrides the file: `HOTLINE_REDIS__URL=redis://...`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="HOTLINE_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    service: ServiceSettings = ServiceSettings()
    files: FileSettings = FileSettings()
    asterisk: AsteriskSettings = AsteriskSettings()
    trunks: TrunkSettings = TrunkSettings()
    emergency: EmergencySettings = EmergencySettings()
    nodes: NodeSettings = NodeSettings()
    redis: RedisSettings = RedisSettings()
    cases: CaseSettings = CaseSettings()
    dialogue: DialogueSettings = DialogueSettings()
    routing: RoutingSettings = RoutingSettings()
    callback: CallbackSettings = CallbackSettings()
    speech: SpeechSettings = SpeechSettings()

    @field_validator("nodes")
    @classmethod
    def _peers_apart(cls, nodes: NodeSettings, info: ValidationInfo) -> NodeSettings:
        # Asterisk tells by the address who calls: a peer's calls reach telephones, others do not.
        trunks, emergency = info.data.get("trunks"), info.data.get("emergency")
        if not isinstance(trunks, TrunkSettings) or not isinstance(emergency, EmergencySettings):
            return nodes  # what is wrong with those is told
        ways_out = (emergency.trunk_a, emergency.trunk_b, trunks.outgoing or "")
        taken = {*trunks.incoming, *map(_host_of, ways_out)}
        for name, address in nodes.peers.items():
            if _host_of(address) in taken:
                raise ValueError(f"{name} has the address of a trunk or of another peer")
            taken.add(_host_of(address))
        return nodes

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over what the file says."""
        return env_settings, init_settings

    @property
    def peers(self) -> dict[str, str]:
        """The other nodes: name and Asterisk's SIP address."""
        return {n: where for n, where in self.nodes.peers.items() if n != self.service.node}

    @property
    def state_dir(self) -> Path:
        """The folder of everything made at run time, absolute."""
        return self.service.state_dir.absolute()
