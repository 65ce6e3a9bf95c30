"""Upload bodies written by hand, as browsers write them and as nobody should."""

from __future__ import annotations

BOUNDARY = "----glimpse0123456789"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def file_part(filename: str, data: bytes, field: str = "files") -> bytes:
    """One file with its headers. The name is escaped as browsers do it (HTML, "Multipart form data")."""
    escaped = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return raw_part(escaped.encode("utf-8", "surrogateescape"), data, field)


def raw_part(filename: bytes, data: bytes, field: str = "files") -> bytes:
    """One file whose name stands in the header as it is."""
    disposition = b'Content-Disposition: form-data; name="%b"; filename="%b"' % (field.encode(), filename)
    headers = b"%b\r\nContent-Type: application/octet-stream\r\n" % disposition
    return b"--%b\r\n%b\r\n%b\r\n" % (BOUNDARY.encode(), headers, data)


def closing() -> bytes:
    return b"--%b--\r\n" % BOUNDARY.encode()


def form(*files: tuple[str, bytes]) -> bytes:
    """A whole body."""
    return b"".join(file_part(name, data) for name, data in files) + closing()
