"""The type of a configuration, and helpers for the files that describe one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias
from xml.etree.ElementTree import Element, SubElement

from ..calls import Call

Stored: TypeAlias = dict[str, Element]
"""Documents by id."""


class RefusalError(Exception):
    """AWS refuses the request.

    :param details: further elements of the answer, for example ArgumentName
    """

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.details = status, code, message, dict(details or {})


def _as_sent(call: Call, root: Element) -> Element:
    return root


def _allow(call: Call) -> None:
    return None


def _no_headers(call: Call) -> dict[str, str]:
    return {}


def _as_stored(call: Call, root: Element) -> Element:
    return root


@dataclass(frozen=True)
class Configuration:
    """One configuration.

    :param query: its name in the query of a request, for example ``lifecycle``
    :param unset: returns the document of a bucket without it, or raises the error that AWS answers (``not_set``)
    :param accept: checks a document, and returns it as AWS will return it; raises ``RefusalError``
    :param delete: raises ``RefusalError`` where AWS does not allow to delete it now
    :param list_root: for configurations with an id, the root element of the list; otherwise empty
    :param headers: what is returned in headers of the answer, beside the document
    :param parts: operations that change a part of the stored document, by their names in the query; they get the stored
        document and that of the request
    :param show: returns the stored document as a read shows it now, where that changes by itself
    """

    query: str
    unset: Callable[[Call], Element]
    accept: Callable[[Call, Element], Element] = _as_sent
    delete: Callable[[Call], None] = _allow
    list_root: str = ""
    headers: Callable[[Call], dict[str, str]] = _no_headers
    parts: Mapping[str, Callable[[Call, Element, Element], None]] = field(default_factory=dict)
    show: Callable[[Call, Element], Element] = _as_stored

    @property
    def is_list(self) -> bool:
        """Whether a bucket has any number of them, each with an id."""
        return bool(self.list_root)


def choice(query: str, root: str, element: str, values: tuple[str, ...]) -> Configuration:
    """Return a configuration that is one element with one of these values. A new bucket has the first."""

    def of_new_bucket(_: Call) -> Element:
        document = Element(root)
        put(document, element, values[0])
        return document

    def accept(_: Call, document: Element) -> Element:
        if text_of(document, element) not in values:
            raise malformed()
        return document

    return Configuration(query, of_new_bucket, accept)


def not_set(code: str, message: str = "") -> Callable[[Call], Element]:
    """Return an ``unset`` that answers 404 with a code."""

    def refuse(_: Call) -> NoReturn:
        raise RefusalError(404, code, message or code)

    return refuse


def malformed(message: str = "") -> RefusalError:
    """Make the error for a document that does not fit AWS's schema."""
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return RefusalError(400, "MalformedXML", message or text)


def invalid(message: str, code: str = "InvalidArgument") -> RefusalError:
    """Make the error for a value that AWS refuses."""
    return RefusalError(400, code, message)


def text_of(parent: Element, path: str, default: str = "") -> str:
    """Return the text of the first element at a path."""
    return parent.findtext(path, default) or default


def put(parent: Element, name: str, text: str = "") -> Element:
    """Append an element with this text, and return it."""
    child = SubElement(parent, name)
    child.text = text
    return child


def children(parent: Element, *names: str) -> Iterator[Element]:
    """Return the direct children with one of these names."""
    return (child for child in parent if child.tag in names)


def check_filter(parent: Element, *predicates: str) -> None:
    """Refuse a ``Filter`` with several predicates outside of ``And``, or an ``And`` of fewer than two.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRuleFilter.html, and the same for metrics, analytics,
    replication and S3 Intelligent-Tiering. The tags in ``And`` come back in an order of AWS's own.

    :param predicates: the elements that may stand in the filter, apart from Tag and And
    """
    found = parent.find("Filter")
    if found is None:
        return
    both = found.find("And")
    if len(found) > 1 or any(child.tag not in (*predicates, "Tag", "And") for child in found):
        raise malformed()
    if both is None:
        return
    tags = sorted(both.findall("Tag"), key=lambda tag: text_of(tag, "Key"), reverse=True)
    rest = [child for child in both if child.tag != "Tag"]
    if len(tags) + len(rest) < 2 or any(child.tag not in predicates for child in rest):
        raise malformed()
    if len({text_of(tag, "Key") for tag in tags}) < len(tags):
        raise invalid("Duplicate Tag Keys are not allowed.", "InvalidRequest")
    both[:] = [*rest, *tags]
