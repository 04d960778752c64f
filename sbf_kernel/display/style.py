"""The style sheet of all HTML views.

It follows the theme of JupyterLab (``--jp-…``) or VS Code (``--vscode-…``)
and falls back to light or dark by what the reader's system prefers. Words are
always in the text colour of the theme; state is told by a sign and a word,
and only underlined by a translucent tint, so the contrast holds everywhere.
"""

from __future__ import annotations

from sbf_kernel.display.escaping import Markup, element

_CSS = """
.sbf-view{--sbf-ink:#1f2328;--sbf-paper:#fff;--sbf-line:#d0d7de;--sbf-link:#0550ae}
@media (prefers-color-scheme:dark){.sbf-view{--sbf-ink:#e6e6e6;--sbf-paper:#15171b;--sbf-line:#3d444d;--sbf-link:#79b8ff}}
.sbf-view{color:var(--jp-content-font-color1,var(--vscode-editor-foreground,var(--sbf-ink)));
background:var(--jp-layout-color0,var(--vscode-editor-background,var(--sbf-paper)));
font:14px/1.5 var(--jp-content-font-family,system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif);
max-width:60rem;padding:.25rem .1rem;overflow-wrap:anywhere}
.sbf-view *{box-sizing:border-box}
.sbf-view a{color:var(--jp-content-link-color,var(--vscode-textLink-foreground,var(--sbf-link)))}
.sbf-view .sbf-muted{opacity:.76;font-size:.86em}
.sbf-view .sbf-head{margin:0 0 .5rem}
.sbf-view .sbf-question{font-weight:600;font-size:1.1em;margin:0 0 .4rem}
.sbf-view .sbf-text{margin:0 0 .6rem;white-space:pre-wrap}
.sbf-view table.sbf-table{border-collapse:collapse;margin:0;width:auto;max-width:100%;font-size:.93em;text-align:left;
border:0;color:inherit;table-layout:auto}
.sbf-view table.sbf-table tbody tr:nth-child(n){background:none}
.sbf-view .sbf-table caption{caption-side:top;text-align:left;font-weight:600;padding:0 0 .35rem;color:inherit}
.sbf-view .sbf-table th,.sbf-view .sbf-table td{padding:.3rem .75rem .3rem 0;vertical-align:top;text-align:left;
border:0;border-bottom:1px solid var(--jp-border-color2,var(--sbf-line));background:none;color:inherit;
max-width:28rem;white-space:normal;font-weight:inherit;line-height:1.4}
.sbf-view .sbf-table thead th{font-weight:600;white-space:nowrap;border-bottom-width:2px}
.sbf-view .sbf-table .sbf-number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.sbf-view .sbf-table .sbf-nowrap{white-space:nowrap}
.sbf-view .sbf-table .sbf-verbatim{white-space:pre-wrap}
.sbf-view table.sbf-chart{width:100%}
.sbf-view .sbf-chart th{width:34%}
.sbf-view .sbf-chart th,.sbf-view .sbf-chart td{border:0;padding:.12rem .75rem .12rem 0;vertical-align:middle}
.sbf-view .sbf-chart td.sbf-bars{width:60%;max-width:none}
.sbf-view .sbf-bar{height:.85em;border-radius:.2em;background:rgba(56,132,255,.6)}
.sbf-view .sbf-badge{display:inline-block;padding:0 .5em;border-radius:.8em;font-size:.82em;line-height:1.6;
white-space:nowrap;border:1px solid var(--jp-border-color1,var(--sbf-line))}
.sbf-view .sbf-good{background:rgba(46,160,67,.2);border-color:rgba(46,160,67,.6)}
.sbf-view .sbf-bad{background:rgba(229,72,77,.2);border-color:rgba(229,72,77,.65)}
.sbf-view .sbf-warn{background:rgba(219,155,4,.22);border-color:rgba(219,155,4,.7)}
.sbf-view .sbf-busy{background:rgba(56,132,255,.18);border-color:rgba(56,132,255,.6)}
.sbf-view .sbf-note{margin:.4rem 0 .6rem;padding:.35rem .7rem;border:0;border-left:4px solid rgba(219,155,4,.9);
background:rgba(219,155,4,.14)}
.sbf-view .sbf-note.sbf-bad{border-left-color:rgba(229,72,77,.9);background:rgba(229,72,77,.14)}
.sbf-view ol.sbf-cards{list-style:none;margin:0;padding:0}
.sbf-view .sbf-card{margin:0 0 .55rem;padding:.45rem .75rem .5rem;border:1px solid var(--jp-border-color2,var(--sbf-line));
border-radius:.45rem}
.sbf-view .sbf-card:target{outline:2px solid rgba(56,132,255,.7)}
.sbf-view .sbf-line{display:flex;flex-wrap:wrap;align-items:baseline;gap:.15rem .55rem;margin:0}
.sbf-view .sbf-rank{opacity:.76;font-variant-numeric:tabular-nums;min-width:1.3em}
.sbf-view .sbf-source{font-weight:600}
.sbf-view .sbf-score{margin-left:auto;font-variant-numeric:tabular-nums}
.sbf-view .sbf-snippet{margin:.25rem 0 0;white-space:pre-line}
.sbf-view mark{background:rgba(255,196,0,.38);color:inherit;padding:0 .08em;border-radius:.15em}
.sbf-view sup.sbf-marker{line-height:0;font-size:.78em;margin-left:.1em}
.sbf-view sup.sbf-marker a{text-decoration:none;font-weight:600}
.sbf-view blockquote.sbf-quote{margin:.3rem 0 0;padding:.1rem 0 .1rem .8rem;font-size:1em;line-height:1.5;
border:0;border-left:3px solid var(--jp-border-color1,var(--sbf-line));white-space:pre-line;color:inherit;background:none}
""".strip()

STYLE = element("style", Markup(_CSS))


def view(label: str, *children: str) -> str:
    """Return a whole view: its style sheet and content under one named region."""
    return str(element("section", STYLE, *children, class_="sbf-view", aria_label=label))
