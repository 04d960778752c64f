"""Office files under a password: an OLE container around the encrypted package ([MS-OFFCRYPTO])."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sbf_kernel.errors import MissingExtra, SourceBroken, SourceEncrypted

if TYPE_CHECKING:
    from sbf_kernel.readers.reading import RawSource, Reading


def read_encrypted_office(source: RawSource) -> Reading:
    """Decrypt a DOCX, PPTX or XLSX with ``password`` and read what is inside.

    Raises
    ------
    SourceEncrypted
        No password, or a wrong one.
    """
    if not source.password:
        raise SourceEncrypted(f"{source.name!r} is encrypted: it needs a password", source=source.name)
    try:
        import msoffcrypto  # type: ignore[import-untyped, unused-ignore]
        from msoffcrypto.exceptions import (  # type: ignore[import-untyped, unused-ignore]
            DecryptionError,
            FileFormatError,
            InvalidKeyError,
            ParseError,
        )
    except ImportError as error:
        raise MissingExtra(
            "reading Office files with a password needs msoffcrypto-tool", hint="pip install msoffcrypto-tool"
        ) from error
    plain = io.BytesIO()
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(source.content))
        file.load_key(password=source.password, verify_password=True)
    except (InvalidKeyError, DecryptionError) as error:
        raise SourceEncrypted(f"{source.name!r} is encrypted: its password was wrong") from error
    except (FileFormatError, ParseError) as error:
        raise SourceBroken(f"{source.name!r} is damaged: its encryption cannot be read ({error})") from error
    try:
        file.decrypt(plain)
    except (InvalidKeyError, DecryptionError) as error:  # the password was right
        raise SourceBroken(f"{source.name!r} is damaged: what is encrypted in it cannot be read") from error
    from sbf_kernel.readers import read

    return read(plain.getvalue(), name=source.name)
