"""One property of our own in an XMP packet, beside whatever the packet already says.

The packet is edited as text and only checked as XML: a parser that wrote it out again would lose the
prefixes and processing instructions that other programs look for.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

NAMESPACE = "https://deepdream.invalid/ns/provenance/1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PROPERTY = f"{{{NAMESPACE}}}provenance"
# An attribute's value holds no ">" (quoteattr escapes it), so this cannot run past the element that we wrote.
_OURS = re.compile(rb"<rdf:Description [^>]*xmlns:deepdream=\"" + re.escape(NAMESPACE.encode()) + rb"\"[^>]*/>\s*")
_END = re.compile(rb"</(?:[\w.-]+:)?RDF\s*>")
_EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b"</rdf:RDF>\n</x:xmpmeta>\n"
    b'<?xpacket end="w"?>'
)


def with_property(packet: bytes | None, text: str) -> bytes:
    """Return ``packet`` with our property set to ``text`` (ASCII); a malformed packet is replaced."""
    for base in (without_property(packet), _EMPTY):
        end = _last_end(base)
        if base is None or end is None:
            continue
        ours = (
            f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:deepdream="{NAMESPACE}" '
            f"deepdream:provenance={quoteattr(text)}/>\n"
        )
        merged = base[:end] + ours.encode("ascii") + base[end:]
        if read_property(merged) == text:
            return merged
    raise ValueError("a provenance with characters that XML cannot hold")


def without_property(packet: bytes | None) -> bytes | None:
    """Return ``packet`` without what we may have written, or ``None`` if malformed or absent."""
    if packet is None or _parse(packet) is None:
        return None
    stripped = _OURS.sub(b"", packet)
    return stripped if _parse(stripped) is not None else None


def read_property(packet: bytes | None) -> str | None:
    """Return our property, also where another program has rewritten the packet; the last one counts."""
    root = _parse(packet) if packet else None
    if root is None:
        return None
    found = None
    for element in root.iter():
        if _PROPERTY in element.attrib:
            found = element.attrib[_PROPERTY]
        elif element.tag == _PROPERTY:
            found = element.text
    return found


def _last_end(packet: bytes | None) -> int | None:
    ends = [match.start() for match in _END.finditer(packet or b"")]
    return ends[-1] if ends else None


def _parse(packet: bytes) -> ElementTree.Element | None:
    # A packet has no use for a document type; refusing it shuts out entity expansion.
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None
    try:
        return ElementTree.fromstring(packet.strip(b"\x00 \r\n\t"))
    except (
        ElementTree.ParseError,
        ValueError,
        LookupError,
    ):  # not XML, or in an encoding that does not exist
        return None
