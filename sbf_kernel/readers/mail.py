"""Mail (EML): who wrote what to whom, and the text of attachments."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message
from typing import TYPE_CHECKING, Final, cast

from sbf_kernel.errors import SourceBroken, SourceError
from sbf_kernel.readers.html import add_html
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import add_plain_text, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 2
"""A mail attached to a mail attached to a mail is read; deeper ones are named only."""
MAX_ATTACHMENTS: Final = 100
MAX_HEADER: Final = 10_000
"""Characters."""
_HEADERS: Final = ("From", "To", "Cc", "Date")


def read_eml(source: RawSource) -> Reading:
    """Read a mail: subject as heading, sender, date, body (plain text before HTML), then attachments."""
    return read_message(source.content, source.name, 0)


def read_message(content: bytes, name: str, depth: int) -> Reading:
    """Read a mail that is attached ``depth`` levels deep."""
    message = email.message_from_bytes(content.lstrip(), policy=email.policy.default)
    if not message.keys():
        raise SourceBroken(f"{name!r} is no mail: it has no headers")
    builder = ReadingBuilder()
    subject = _header(message, "Subject")
    builder.heading(subject or "(no subject)", 1)
    facts = {key: _header(message, key) for key in _HEADERS}
    builder.add("\n".join(f"{key}: {value}" for key, value in facts.items() if value))
    _add_body(builder, message)
    count = skipped = 0
    for part in _attachments(message):
        count += 1
        if count > MAX_ATTACHMENTS or not add_attachment(
            builder, _payload(part), _filename(part, count), part.get_content_type(), depth
        ):
            skipped += 1
    metadata = {key.lower(): value for key, value in facts.items()}
    metadata["attachments"] = str(count) if count else ""
    metadata["attachments_not_read"] = str(skipped) if skipped else ""
    return builder.build(title=subject, media_type="message/rfc822", metadata=metadata)


def add_attachment(builder: ReadingBuilder, content: bytes, name: str, media_type: str, depth: int) -> bool:
    """Append an attachment under a heading with its name; return whether its text could be read."""
    from sbf_kernel.readers import detect, read

    builder.close(2)
    try:
        if detect(content, name, media_type) == "message/rfc822":
            reading = read_message(content, name, depth + 1) if depth < MAX_DEPTH else None
        else:
            reading = read(content, name=name, media_type=media_type)
    except SourceError as error:
        builder.add(f"[Attachment not read: {error.message}]")
        return False
    if reading is None:
        builder.add(f"[Attachment not read: {name!r} is nested too deep]")
        return False
    builder.heading(f"Attachment: {name}", 2)
    builder.include(reading)
    builder.close(2)
    return True


def _header(message: EmailMessage, key: str) -> str:
    """Return a header decoded; headers that break the rules raise in the standard library."""
    raw = next((text for name, text in message.raw_items() if name.lower() == key.lower()), "")
    if len(raw) > MAX_HEADER:
        return decode(raw[:MAX_HEADER].encode("utf-8", "replace"))  # parsing it would take time without bound
    try:
        value = message.get(key)
        return str(value) if value is not None else ""
    except Exception:  # noqa: BLE001 (it raises whatever its parser stumbles on)
        return str(raw).encode("utf-8", "replace").decode("utf-8", "replace")


def _add_body(builder: ReadingBuilder, message: EmailMessage) -> None:
    plain, marked = (_body(message, kind) for kind in ("plain", "html"))
    # Some programs send "your program cannot show HTML" as the plain text.
    if plain.strip() and not (len(marked) > 20 * len(plain) and len(plain.strip()) < 200):
        add_plain_text(builder, plain)
    elif marked.strip():
        add_html(builder, marked, whole=True)


def _body(message: EmailMessage, kind: str) -> str:
    for part in _leaves(message):
        if part.get_content_type() == f"text/{kind}" and not _is_attachment(part):
            return decode(_payload(part), part.get_content_charset())
    return ""


def _leaves(message: Message) -> Iterator[EmailMessage]:
    """Yield the parts of a mail that are no containers; a mail attached to it is one part."""
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        if part.get_content_maintype() == "multipart":
            payload = part.get_payload()
            stack.extend(
                reversed([child for child in payload if isinstance(child, Message)])
                if isinstance(payload, list)
                else ()
            )
        else:
            yield cast("EmailMessage", part)


def _is_attachment(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in _leaves(message):
        kind = part.get_content_type()
        inline_picture = part.get_content_maintype() == "image"
        if part is not message and not inline_picture and (_is_attachment(part) or kind == "message/rfc822"):
            yield part


def _payload(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
        payload = part.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else None
        return inner.as_bytes() if isinstance(inner, Message) else b""
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _filename(part: Message, number: int) -> str:
    try:
        return part.get_filename() or (
            f"message {number}.eml" if part.get_content_type() == "message/rfc822" else f"attachment {number}"
        )
    except Exception:  # noqa: BLE001 (a name in an encoding that does not exist, a header without sense …)
        return f"attachment {number}"
