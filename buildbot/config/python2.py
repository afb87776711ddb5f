"""Recognise configurations that were written for Python 2, as most before Buildbot 1.0 and 2.0 were."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Names that were built in -> what is written now.
_BUILTINS: Mapping[str, str] = {
    "apply": "f(*arguments)",
    "basestring": "str",
    "buffer": "memoryview",
    "cmp": "(a > b) - (a < b)",
    "execfile": "exec(open(path).read())",
    "file": "open",
    "intern": "sys.intern",
    "long": "int",
    "raw_input": "input",
    "reduce": "functools.reduce",
    "reload": "nothing: modules beside master.cfg are read again at each reconfig",
    "unichr": "chr",
    "unicode": "str",
    "xrange": "range",
}

#: Modules -> where their contents are now.
_MODULES: Mapping[str, str] = {
    "BaseHTTPServer": "http.server",
    "ConfigParser": "configparser",
    "Cookie": "http.cookies",
    "HTMLParser": "html.parser",
    "Queue": "queue",
    "SimpleXMLRPCServer": "xmlrpc.server",
    "StringIO": "io",
    "UserDict": "collections",
    "__builtin__": "builtins",
    "cPickle": "pickle",
    "cStringIO": "io",
    "commands": "subprocess",
    "copy_reg": "copyreg",
    "email.MIMEMultipart": "email.mime.multipart",
    "email.MIMEText": "email.mime.text",
    "email.Utils": "email.utils",
    "exceptions": "builtins",
    "htmlentitydefs": "html.entities",
    "httplib": "http.client",
    "sets": "set and frozenset, which are built in",
    "urllib2": "urllib.request and urllib.error",
    "urlparse": "urllib.parse",
    "xmlrpclib": "xmlrpc.client",
}

_METHODS = frozenset({"has_key", "iteritems", "iterkeys", "itervalues"})

_MESSAGES = re.compile(
    r"Missing parentheses in call to '(?:print|exec)'|multiple exception types must be parenthesized"
    r"|leading zeros in decimal integer literals|invalid decimal literal|inconsistent use of tabs"
    r"|Function parameters cannot be parenthesized|unindent does not match"
)
_LINES = re.compile(
    r"^\s*(?:print\b(?!\s*\()|exec\s+[^(\s]|raise\s+[\w.]+\s*,|except\s+[^:]+,\s*\w+\s*:)|<>|`|\bur['\"]"
    r"|\b0[0-7]+\b|\b\d+[lL]\b|\b(?:def\s+\w+|lambda)\s*\(?[^)]*\("
)


def hint_for(wrong: BaseException, file: str) -> str | None:
    """What to do about an exception of the configuration that comes from Python 2; None for any other."""
    match wrong:
        case SyntaxError():
            return _about_syntax(wrong, file)
        case ModuleNotFoundError(name=str(name)) if name in _MODULES:
            return _written(name, _MODULES[name], file)
        case NameError(name=str(name)) if name in _BUILTINS:
            return _written(name, _BUILTINS[name], file)
        case AttributeError(name=str(name), obj=dict()) if name in _METHODS:
            instead = "key in the dict" if name == "has_key" else name.removeprefix("iter") + "()"
            return _written(name, instead, file)
    return None


def _about_syntax(wrong: SyntaxError, file: str) -> str | None:
    if isinstance(wrong, TabError):
        return f"tabs and spaces are mixed, which Python 2 allowed; `expand {file}` gives the file with spaces only"
    if _MESSAGES.search(wrong.msg) or _LINES.search(wrong.text or ""):
        return f"this is Python 2; {_converting(file)}"
    return None


def _written(name: str, instead: str, file: str) -> str:
    return f"{name} is Python 2, write {instead}; {_converting(file)}"


def _converting(file: str) -> str:
    return f"`python3.11 -m lib2to3 -w -n {file}` converts the file, see the manual, Coming from an older Buildbot"
