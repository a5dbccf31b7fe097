"""The frame of every report: one HTML file that needs nothing beside it."""

from html import escape

_STYLE = """
:root{color-scheme:light}
body{margin:0;background:#f2f4f7;color:#1c2530;font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:32px 20px 60px}
h1{margin:0 0 4px;font-size:26px} h2{margin:36px 0 12px;font-size:20px} h3{margin:0 0 10px;
font-size:15px} p{margin:4px 0;color:#66727f} .tiles{display:flex;flex-wrap:wrap;gap:12px;
margin:16px 0} .tile,.card{background:#fff;border:1px solid #e3e7ec;border-radius:10px}
.tile{flex:1 1 150px;padding:14px 16px} .tile b{display:block;font-size:28px;line-height:1.2}
.tile.bad b{color:#c62828} .tile span{display:block;color:#66727f;font-size:13px}
.card{padding:18px 20px;margin:12px 0;overflow-x:auto} svg{max-width:100%;height:auto;display:block}
svg text{font:13px system-ui,"DejaVu Sans",sans-serif}
table{border-collapse:collapse;width:100%;font-size:13px} th{text-align:left;color:#66727f;
font-weight:600} th,td{padding:6px 10px 6px 0;border-bottom:1px solid #e3e7ec;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums} td.n{white-space:nowrap}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
END = "</main></body></html>\n"


def begin(title: str) -> str:
    """Everything before the contents."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
    )
