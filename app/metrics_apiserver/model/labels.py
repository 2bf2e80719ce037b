"""What a label's key and value may be, with upstream's sentences for what they may not."""

import re
from typing import Final

from metrics_apiserver.model.quoting import quoted

__all__ = ["invalid", "validate_label_key", "validate_label_value"]

_NAME: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE: Final = f"({_NAME})?"
_DNS_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_NAME_RE: Final = re.compile(_NAME)
_VALUE_RE: Final = re.compile(_VALUE)
_SUBDOMAIN_RE: Final = re.compile(_SUBDOMAIN)
_NAME_BYTES: Final = 63
_SUBDOMAIN_BYTES: Final = 253

_MUST_BE_NAME: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    f" (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_MUST_BE_KEY: Final = (
    f"a valid label key {_MUST_BE_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_MUST_BE_VALUE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    f" '{_VALUE}')"
)
_MUST_BE_SUBDOMAIN: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    f" end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)


def validate_label_key(key: str) -> list[str]:
    """Return what is wrong with a label's key; nothing if it is valid."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_MUST_BE_KEY]
    errors: list[str] = []
    if slash and not prefix:
        errors.append("prefix part must be non-empty")
    elif slash:
        faults = _check(prefix, _SUBDOMAIN_RE, _SUBDOMAIN_BYTES, _MUST_BE_SUBDOMAIN)
        errors += [f"prefix part {fault}" for fault in faults]
    if not name:
        errors.append("name part must be non-empty")
    return errors + [f"name part {fault}" for fault in _check(name, _NAME_RE, _NAME_BYTES, _MUST_BE_NAME)]


def validate_label_value(value: str) -> list[str]:
    """Return what is wrong with a label's value; nothing if it is valid."""
    return _check(value, _VALUE_RE, _NAME_BYTES, _MUST_BE_VALUE)


def _check(text: str, pattern: re.Pattern[str], max_bytes: int, must: str) -> list[str]:
    errors = []
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        errors.append(f"must be no more than {max_bytes} bytes")
    if not pattern.fullmatch(text):
        errors.append(must)
    return errors


def invalid(path: str, value: str, reason: str) -> str:
    """Return the sentence that a value at a place is invalid, and why (apimachinery `field.Invalid`)."""
    return f"{path}: Invalid value: {quoted(value)}: {reason}"
