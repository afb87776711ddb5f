"""Addresses, headers and MIME parts: how a `Text` becomes the bytes of a mail.

No value can add a header or a recipient: line breaks and control characters are taken out of every header, and an
address that is not exactly one plain address is not an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from typing import NamedTuple

from buildbot.status.mail_text import LONGEST_BODY, Text, clean, one_line

_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_POLICY = SMTP.clone(linesep="\n")

# Ours alone: a user's extraHeaders cannot set them.
OWN_HEADERS = frozenset(
    (
        *("from", "to", "cc", "bcc", "sender", "date", "message-id"),
        *("mime-version", "content-type", "content-transfer-encoding"),
    )
)


class Attachment(NamedTuple):
    name: str
    data: bytes
    subtype: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """All that one mail is made of, apart from the transport."""

    sender: str
    to: Sequence[str]
    cc: Sequence[str]
    subject: str
    text: Text
    sent_at: float
    message_id: str
    thread_id: str
    headers: Mapping[str, str]
    attachments: Sequence[Attachment]


def _name_and_address(text: str) -> tuple[str, str]:
    """The halves of 'Name <address>' or 'address (Name)'; a text of another form is all address."""
    text = text.strip()
    if text.endswith(">"):
        name, _, address = text[:-1].rpartition("<")
        return name.strip().strip('"'), address
    if text.endswith(")"):
        address, _, name = text[:-1].partition("(")
        return name.strip(), address.rstrip()
    return "", text


def address_of(text: str) -> str | None:
    """The one plain address in 'Name <address>' or 'address'; None when there is not exactly one usable address."""
    if len(text) > 1000 or not text.strip().isprintable():
        return None
    local, _, domain = _name_and_address(text)[1].rpartition("@")
    if not _LOCAL.fullmatch(local):
        return None
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return f"{local}@{domain}" if _DOMAIN.fullmatch(domain) and ".." not in domain else None


def name_of(text: str) -> str:
    """The name in 'Name <address>', fit for a header."""
    return one_line(_name_and_address(text)[0], 200)


def is_header_name(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None and name.lower() not in OWN_HEADERS


def thread_id(domain: str, title: str, builder: str) -> str:
    """What all mails about one builder refer to, so that they make one thread."""
    digest = sha256(repr((title, builder)).encode()).hexdigest()
    return f"<builder.{digest[:24]}@{domain}>"


def message_id(domain: str, *facts: object) -> str:
    """The same for the same facts: a mail that is sent twice can be known for the same one."""
    return f"<build.{sha256(repr(facts).encode()).hexdigest()[:32]}@{domain}>"


def mail(letter: Letter) -> bytes:
    """The mail's bytes, with plain newlines as twisted.mail wants them."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = _header_address(letter.sender)
    if letter.to:
        message["To"] = [_header_address(recipient) for recipient in letter.to]
    if letter.cc:
        message["Cc"] = [_header_address(recipient) for recipient in letter.cc]
    message["Subject"] = one_line(letter.subject, 500)
    message["Date"] = format_datetime(datetime.fromtimestamp(letter.sent_at, UTC))
    message["Message-ID"] = letter.message_id
    message["In-Reply-To"] = letter.thread_id
    message["References"] = letter.thread_id
    message["Auto-Submitted"] = "auto-generated"
    _add_headers(message, letter.headers)
    body = clean(letter.text.body)[:LONGEST_BODY]
    message.set_content(body if body.endswith("\n") else body + "\n", subtype=letter.text.kind, charset="utf-8")
    for part in letter.attachments:
        message.add_attachment(
            part.data,
            maintype="text",
            subtype=part.subtype,
            filename=one_line(part.name, 200),
            params={"charset": "utf-8"},
        )
    return message.as_bytes()


def _header_address(text: str) -> Address:
    address = address_of(text)
    if address is None:
        raise ValueError(f"{text!r} is no mail address")
    return Address(display_name=name_of(text), addr_spec=address)


def _add_headers(message: EmailMessage, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not is_header_name(name):
            continue
        del message[name]
        message[name] = one_line(value, 900)


def plain_addresses(texts: Iterable[str]) -> list[str]:
    """The usable addresses, each once, in order."""
    found = (address_of(text) for text in texts)
    return list(dict.fromkeys(address for address in found if address is not None))
