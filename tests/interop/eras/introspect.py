"""Print what an installed Buildbot's step classes, factories and their bases take and have, as JSON.

Runs on Python 2.7 and later, by the Python of that Buildbot's own environment; it imports nothing of ours.
"""

import importlib
import inspect
import json
import pkgutil
import sys

MODULES = (
    "buildbot.process.buildstep",
    "buildbot.process.factory",
    "buildbot.process.logobserver",
    "buildbot.process.mtrlogobserver",
    "buildbot.process.process_twisted",
    "buildbot.process.remotecommand",
    "buildbot.process.subunitlogger",
)
PLAIN = (bool, int, float, type(None), str, str, type(b"".decode()))
LISTS_OF_ARGUMENTS = ("parms", "_shellMixinArgs", "_shell_mixin_arg_config", "_shell_arguments")


def value(found):
    """A default as something that can be compared: itself, or what kind of thing it is."""
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, PLAIN):
        return found
    if isinstance(found, (list, tuple)):
        return [value(each) for each in found]
    if isinstance(found, (set, frozenset)):
        return sorted(value(each) for each in found)
    if isinstance(found, dict):
        return {str(key): value(each) for key, each in found.items()}
    if hasattr(found, "pattern"):
        return found.pattern
    return "<" + getattr(found, "__name__", type(found).__name__) + ">"


def parameters(function):
    """A function's parameters: those with a place and those with a name only, each as [name, default] or [name]."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if hasattr(inspect, "getfullargspec"):
        spec = inspect.getfullargspec(function)
        others = spec.kwonlydefaults or {}
        named = [[name, value(others[name])] if name in others else [name] for name in spec.kwonlyargs]
        any_name = spec.varkw is not None
    else:
        spec = inspect.getargspec(function)
        named, any_name = [], spec.keywords is not None
    without = len(spec.args) - len(spec.defaults or ())
    positional = [
        [name] if number < without else [name, value(spec.defaults[number - without])]
        for number, name in enumerate(spec.args)
        if number or name not in ("self", "cls")
    ]
    return {"positional": positional, "named": named, "more": spec.varargs is not None, "any": any_name}


def describe(cls):
    """The constructors of a class and its bases, from its own on; the values of its attributes; its methods."""
    constructors, attributes, methods, listed = [], {}, {}, []
    for base in inspect.getmro(cls):
        if not base.__module__.startswith("buildbot"):
            continue
        for name, found in vars(base).items():
            plain = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
            if name in LISTS_OF_ARGUMENTS:
                listed += [each if isinstance(each, str) else value(each[0]) for each in found]
            if name == "__init__":
                constructors.append(dict(parameters(found), of=base.__name__))
            elif name.startswith("_") or name in methods or name in attributes:
                continue
            elif inspect.isfunction(plain):
                methods[name] = dict(parameters(plain), of=base.__name__)
            elif not inspect.isclass(found):
                attributes[name] = [value(found), base.__name__]
    return {
        "bases": [base.__name__ for base in inspect.getmro(cls)],
        "constructors": constructors,
        "listed": sorted(set(listed)),
        "attributes": attributes,
        "methods": methods,
    }


def is_public(name, found):
    return (
        inspect.isclass(found)
        and not name.startswith("_")
        and (found.__module__.startswith("buildbot.steps.") or found.__module__ in MODULES)
        and not issubclass(found, Exception)
    )


def main():
    sys.path[:] = [path for path in sys.path if path]
    import buildbot
    import buildbot.steps

    wanted = list(MODULES)
    wanted += [name for _, name, _ in pkgutil.walk_packages(buildbot.steps.__path__, "buildbot.steps.")]
    classes = {}
    for path in wanted:
        try:
            module = importlib.import_module(path)
        except (ImportError, SyntaxError):  # it was not there then, or needs what nobody has
            continue
        for name, found in vars(module).items():
            if is_public(name, found):
                key = found.__module__ + ":" + found.__name__
                if key not in classes:
                    classes[key] = dict(describe(found), paths=[])
                classes[key]["paths"].append([path, name])
    print(json.dumps({"version": buildbot.version, "classes": classes}, sort_keys=True))


if __name__ == "__main__":
    main()
