"""`/healthz`, `/readyz`, `/metrics`, a status page and consultants' states, on loopback."""

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ivr.web.consultants import ConsultantsApi

BODY_BYTES = 10_000
Status = Callable[[], Mapping[str, bool]]
Rows = Callable[[], Awaitable[Mapping[str, list[Mapping[str, Any]]]]]
Warnings = Callable[[], list[str]]

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>hotline 19115</title>
<meta http-equiv="refresh" content="2"><meta name="viewport" content="width=device-width">
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}}
table{{border-collapse:collapse;width:100%;margin-bottom:2rem}}
th,td{{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #ccc}}
.ok{{color:#00629b}}.bad{{color:#b00020;font-weight:bold}}</style>
<h1>hotline 19115</h1><p>{parts}</p>{tables}</html>"""


def make_app(
    registry: CollectorRegistry,
    status: Status,
    rows: Rows,
    consultants: ConsultantsApi,
    warnings: Warnings,
) -> web.Application:
    """The application; `status` names each part and whether it works.

    With `warnings` (sentences) the service is ready all the same.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        parts = dict(status())
        ready = all(parts.values())
        return web.json_response(
            {"ready": ready, "parts": parts, "warnings": warnings()}, status=200 if ready else 503
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def page(_: web.Request) -> web.Response:
        parts = " · ".join(
            f'<span class="{"ok" if works else "bad"}">{escape(part)}: '
            f"{'works' if works else 'DOWN'}</span>"
            for part, works in status().items()
        )
        tables = "".join(f'<p class="bad">{escape(warning)}</p>' for warning in warnings())
        tables += "".join(_table(title, lines) for title, lines in (await rows()).items())
        return web.Response(
            text=_PAGE.format(parts=parts, tables=tables),
            content_type="text/html",
            headers={"Cache-Control": "no-store", "Content-Security-Policy":
                     "default-src 'none'; style-src 'unsafe-inline'"},
        )  # fmt: skip

    app = web.Application(client_max_size=BODY_BYTES)
    app.router.add_get("/", page)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    consultants.add_to(app)
    return app


def _table(title: str, lines: list[Mapping[str, Any]]) -> str:
    if not lines:
        return f"<h2>{escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{escape(str(key))}</th>" for key in lines[0])
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape('' if value is None else str(value))}</td>" for value in line.values()
        )
        + "</tr>"
        for line in lines
    )
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
