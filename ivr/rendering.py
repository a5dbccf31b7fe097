"""Asterisk's configuration, made from `config/asterisk/`, `dialplans/` and `queues/`.

Files are replaced one by one, each in one rename, so that an Asterisk may be running from them.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, ClassVar

from ivr.asterisk.install import AsteriskInstall
from ivr.cases import cel
from ivr.errors import ConfigError, HotlineError
from ivr.routing.skills import Consultant
from ivr.secrets import Secrets
from ivr.settings import Settings
from ivr.speech.audiofile import read_audio, write_wav
from ivr.types import LANGUAGES

ANNOUNCEMENTS = {
    "emergency": ("transfer-emergency",),
    "emergency-crisis": ("transfer-emergency", "crisis-line"),
    "emergency-failed": ("emergency-failed",),
}
"""Music class (before its language) and the prompts it repeats while 112 is called."""
ANNOUNCEMENT_PAUSE_S = 3
"""Silence between two announcements while 112 is being called."""
TELEPHONE_FILES = ("pjsip.conf", "queues.conf")
"""The files that name the consultants."""
TELEPHONE_MODULES = ("res_pjsip.so", "res_pjsip_endpoint_identifier_ip.so", "app_queue.so")
"""The modules that read them."""


class _Template(Template):
    """`@{name}`: Asterisk's own files are full of `${...}`."""

    delimiter = "@"
    pattern: ClassVar[Any] = r"""
        @(?:(?P<escaped>@@@) | (?P<named>(?!)) | \{(?P<braced>[a-z_]+)\} | (?P<invalid>(?!)))
    """
    flags = re.VERBOSE


def render(
    settings: Settings,
    consultants: Sequence[Consultant],
    install: AsteriskInstall,
    secrets: Secrets,
    *,
    demo_caller: bool = False,
) -> Path:
    """Write the configuration into `<state>/asterisk/etc` and return that folder.

    `demo_caller` adds an endpoint `caller` that may dial in from a softphone with a password.
    Raises HotlineError when a template or a recording is missing.
    """
    run_dir = settings.state_dir / "asterisk"
    etc_dir = run_dir / "etc"
    secrets.ensure(["ami", "caller", *(f"consultant-{c.id}" for c in consultants)])
    for folder in ("etc", "lib", "spool", "log/cel-custom", "data/sounds"):
        (run_dir / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    values = _values(settings, consultants, secrets, demo_caller)
    values["modules_dir"] = install.modules_dir
    templates = sorted(settings.files.asterisk.glob("*.conf"))
    if not templates:
        raise HotlineError(
            f"there is no Asterisk configuration in {settings.files.asterisk}: "
            "start from the project's folder, or set [files] asterisk"
        )
    texts = {template.name: _filled(template, values) for template in templates}
    for dialplan in ("hotline", "degraded", "emergency", "consultants", "callback", "nodes"):
        source = settings.files.dialplans / f"{dialplan}.conf"
        if not source.exists():
            raise HotlineError(f"the dialplan {source} is missing: set [files] dialplans")
        texts[source.name] = source.read_text(encoding="utf-8")
    texts["numbers.conf"] = _numbers(settings)
    for name, text in texts.items():
        _replace(etc_dir / name, text)
    for file in etc_dir.iterdir():  # what an earlier version has left
        if file.name not in texts:
            file.unlink()
    _link_data(settings, install, run_dir)
    return etc_dir


def render_telephones(
    settings: Settings, consultants: Sequence[Consultant], secrets: Secrets
) -> list[str]:
    """Write the consultants into a rendered configuration again, as it may be in use.

    Returns the names of the files that are new. Raises HotlineError, OSError.
    """
    etc_dir = settings.state_dir / "asterisk" / "etc"
    secrets.ensure(["caller", *(f"consultant-{c.id}" for c in consultants)])
    demo_caller = "\n[caller]\n" in (etc_dir / "pjsip.conf").read_text(encoding="utf-8")
    values = _values(settings, consultants, secrets, demo_caller)
    texts = {name: _filled(settings.files.asterisk / name, values) for name in TELEPHONE_FILES}
    return [name for name, text in texts.items() if _replace(etc_dir / name, text)]


def _filled(template: Path, values: Mapping[str, object]) -> str:
    try:
        return _Template(template.read_text(encoding="utf-8")).substitute(values)
    except (KeyError, ValueError) as error:
        raise ConfigError(template, f"unknown placeholder {error}") from None


def _replace(path: Path, text: str) -> bool:
    """Put a file in the place of another, owned and readable as that one; False: it is the same."""
    before = path.stat() if path.exists() else None
    if before and path.read_text(encoding="utf-8") == text:
        return False
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if before:
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
    fresh.replace(path)
    return True


def _values(
    settings: Settings, consultants: Sequence[Consultant], secrets: Secrets, demo_caller: bool
) -> dict[str, object]:
    asterisk, run_dir = settings.asterisk, settings.state_dir / "asterisk"
    return {
        "etc_dir": run_dir / "etc",
        "run_dir": run_dir,
        "node": settings.service.node,
        "language": settings.dialogue.language,
        "emergency_number": settings.emergency.number,
        "emergency_ring_s": settings.emergency.ring_s,
        "sip_host": asterisk.sip_host,
        "sip_port": asterisk.sip_port,
        "rtp_first": asterisk.rtp_first,
        "rtp_last": asterisk.rtp_last,
        "service_host": asterisk.service_host,
        "ami_port": asterisk.ami_port,
        "agi_port": asterisk.agi_port,
        "ami_secret": secrets["ami"],
        "cel_file": cel.FILE,
        "cel_mapping": cel.MAPPING,
        "peers": "&".join(f"PJSIP/fallback@node-{peer}" for peer in settings.peers),
        "leave_when_empty": "unavailable,invalid" if settings.peers else "no",
        "queue_members": "\n".join(f"member => PJSIP/{c.id},0,{c.name}" for c in consultants),
        "announcements": "\n".join(
            _section(
                f"{name}-{language}",
                mode="files",
                directory=run_dir / "announce" / f"{name}-{language}",
            )
            for name in ANNOUNCEMENTS
            for language in LANGUAGES
        ),
        "endpoints": "\n".join(_endpoints(settings, consultants, secrets, demo_caller)),
    }


def _endpoints(
    settings: Settings, consultants: Sequence[Consultant], secrets: Secrets, demo_caller: bool
) -> list[str]:
    language = settings.dialogue.language
    parts = [
        _section("incoming", type="endpoint", **_MEDIA, context="from-trunk", language=language,
                 allow_transfer="no", trust_id_inbound="yes"),
        _section("incoming", type="identify", endpoint="incoming",
                 match=",".join(settings.trunks.incoming)),
    ]  # fmt: skip
    for name, address in (("a", settings.emergency.trunk_a), ("b", settings.emergency.trunk_b)):
        trunk = f"emergency-{name}"
        parts += [
            _section(trunk, type="endpoint", **_MEDIA, context="from-emergency", language=language,
                     aors=trunk, allow_transfer="no", send_pai="yes", trust_id_outbound="yes"),
            _section(trunk, type="aor", contact=f"sip:{address}", qualify_frequency=5,
                     qualify_timeout=2),
        ]  # fmt: skip
        if (host := address.partition(":")[0]) not in settings.trunks.incoming:
            parts.append(_section(trunk, type="identify", endpoint=trunk, match=host))
    if settings.trunks.outgoing is not None:
        parts += [
            # Callbacks go out there; what comes from there is not served by this endpoint.
            _section("outgoing", type="endpoint", **_MEDIA, context="none", language=language,
                     aors="outgoing", allow_transfer="no", send_pai="yes", trust_id_outbound="yes"),
            _section("outgoing", type="aor", contact=f"sip:{settings.trunks.outgoing}"),
        ]  # fmt: skip
    for peer, address in settings.peers.items():
        parts += _peer(f"node-{peer}", address, language)
    for consultant in consultants:
        parts += _telephone(
            consultant.id, consultant.name, secrets[f"consultant-{consultant.id}"],
            context="from-consultants", language=language, allow_transfer="yes",
        )  # fmt: skip
    if demo_caller:
        parts += _telephone(
            "caller", None, secrets["caller"],
            context="from-trunk", language=language, allow_transfer="no",
        )  # fmt: skip
    return parts


_MEDIA = {
    "disallow": "all",
    "allow": "alaw,ulaw",
    "direct_media": "no",
    "rtp_symmetric": "yes",
    "dtmf_mode": "auto_info",
    "rtp_timeout": 60,
    "rtp_timeout_hold": 600,
}
_ALIVE = {"rtp_keepalive": 2, "rtp_timeout": 6}
"""Seconds. Between nodes something is sent even in silence, so that a dead node is noticed."""


def _peer(name: str, address: str, language: str) -> list[str]:
    """Another node: its calls come by its address and reach consultants' telephones only."""
    return [
        _section(name, type="endpoint", **_MEDIA | _ALIVE, context="from-nodes", language=language,
                 aors=name, allow_transfer="no", send_pai="yes", trust_id_inbound="yes",
                 trust_id_outbound="yes"),
        _section(name, type="identify", endpoint=name, match=address.partition(":")[0]),
        _section(name, type="aor", contact=f"sip:{address}", qualify_frequency=2,
                 qualify_timeout=2),
    ]  # fmt: skip


def _telephone(identity: str, name: str | None, secret: str, **options: object) -> list[str]:
    caller_id = {"callerid": f'"{name}" <{identity}>'} if name else {}
    return [
        _section(identity, type="endpoint", **_MEDIA, **options, **caller_id, auth=identity,
                 aors=identity, device_state_busy_at=1, force_rport="yes", rewrite_contact="yes"),
        _section(identity, type="auth", auth_type="userpass", username=identity, password=secret),
        _section(identity, type="aor", max_contacts=1, remove_existing="yes",
                 qualify_frequency=5, qualify_timeout=2, minimum_expiration=30,
                 default_expiration=120),
    ]  # fmt: skip


def _section(name: str, **options: object) -> str:
    lines = [f"{key} = {value}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _numbers(settings: Settings) -> str:
    return "".join(
        f"exten => {number},1,Goto(hotline,call,1)\n" for number in settings.trunks.numbers
    )


def _link_data(settings: Settings, install: AsteriskInstall, run_dir: Path) -> None:
    data = run_dir / "data"
    _link(data / "documentation", install.data_dir / "documentation")
    _link(data / "moh", install.data_dir / "moh")
    prompts = settings.files.prompts.absolute()
    for language in LANGUAGES:
        sounds = data / "sounds" / language
        sounds.mkdir(exist_ok=True)
        _link(sounds / "hotline", prompts / language)
        for name, announced in ANNOUNCEMENTS.items():
            folder = run_dir / "announce" / f"{name}-{language}"
            folder.mkdir(parents=True, exist_ok=True)
            spoken = b"".join(read_audio(prompts / language / f"{p}.wav") for p in announced)
            write_wav(folder / "announce.wav", spoken + bytes(16_000 * ANNOUNCEMENT_PAUSE_S))


def _link(link: Path, target: Path) -> None:
    if not target.is_dir():
        raise HotlineError(f"{target} is missing: run `make run` to set everything up again")
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
