"""Objects that a user names as `module:attribute`, such as a policy or a generator of their own.

In: a name and the methods the object must have. Out: the object; a class is instantiated. The
module is searched in the current folder first, then among what is installed. Every refusal is a
`ValueError` of one sentence.

    policy = named("mine:Policy", ["reset", ("act", "act_all")])
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any, TypeVar, cast

from . import checks, files

Thing = TypeVar("Thing")


def named(name: str, methods: Iterable[str | tuple[str, ...]] = (), **options: Any) -> Any:
    """The object behind `module:attribute`.

    Args:
        name: an attribute may have dots, `module:Outer.Inner`.
        methods: names of methods the object must have; of a tuple one is enough.
        options: keyword arguments of the class, where the attribute is one.

    Raises:
        ValueError: the name has another form, the module cannot be imported, the attribute does
            not exist, the class cannot be instantiated, or a method is missing.
    """
    module, attribute = _parts(name)
    found = _imported(name, module)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{name}: {module!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    made = _instance(name, found, options) if isinstance(found, type) else found
    return with_methods(name, made, methods)


def with_methods(name: str, thing: Any, methods: Iterable[str | tuple[str, ...]]) -> Any:
    """The thing itself; a ValueError names the first method that it lacks."""
    methods = [(method,) if isinstance(method, str) else method for method in methods]
    for any_of in methods:
        if not any(callable(getattr(thing, method, None)) for method in any_of):
            needs = " and ".join(" or ".join(each) for each in methods)
            raise ValueError(
                f"{name} must have the methods {needs}; {' or '.join(any_of)} is missing"
            )
    return thing


def one_of(
    kind: type[Thing], what: str, known: Mapping[str, Thing], which: str | Thing | Mapping
) -> Thing:
    """The instance of a dataclass by name or by a dict of its fields; one of its own as it is.

    Args:
        what: what a refusal calls it.
        known: instances by name.

    Raises: ValueError for an unknown name or field; what the class itself refuses.
    """
    if isinstance(which, kind):
        return which
    if isinstance(which, Mapping):
        names = [field.name for field in fields(cast(Any, kind))]
        for name in which:
            checks.known(f"{what} field", name, names)
        return kind(**which)
    return known[checks.known(what, which, known)]


def source_digest(thing: Any) -> str | None:
    """SHA-256 of the file that defines an object's class, None where there is no such file."""
    try:
        path = inspect.getsourcefile(type(thing))
    except TypeError:  # built in, or typed into an interpreter
        return None
    return files.digest(path) if path and Path(path).is_file() else None


def accepted(method: Callable, arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the keyword arguments that a method takes."""
    known = inspect.signature(method).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known):
        return arguments
    return {p.name: arguments[p.name] for p in known if p.name in arguments}


def _parts(name: str) -> tuple[str, str]:
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        raise ValueError(f"an object must be named module:attribute, got {name!r}")
    return module, attribute


def _imported(name: str, module: str) -> Any:
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, "")
    invalidate_caches()  # a file written a moment ago is found, too
    try:
        return import_module(module)
    except Exception as error:  # whatever the user's module raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name}: the module {module!r} cannot be imported: {reason}") from error


def _instance(name: str, kind: type, options: dict[str, Any]) -> Any:
    try:
        return kind(**options)
    except Exception as error:
        given = f"with the options {', '.join(options)}" if options else "without arguments"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} cannot be instantiated {given}: {reason}") from error
