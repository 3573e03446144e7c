"""The inner wall around tenants' templates: what they may name and call. Runs in a limited process of its own.

A template sees mappings, lists, texts and numbers. It has no attributes but a mapping's keys and a loop's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any, Final

from jinja2 import ChainableUndefined, DictLoader, Environment, Template, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import BlockReference, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from config.catalogue import BASE, TEMPLATES
from pipeline.faces import Faces
from pipeline.handlebars_values import FILTERS as HANDLEBARS
from pipeline.stylesheet import Stylesheet

MOST_CHARACTERS: Final = 1_000_000  # of what one template makes
MOST_BITS: Final = 4096  # of a number
LAYOUT: Final = "base"  # what a template may extend

LAYOUTS: Final[Mapping[str, str]] = {
    "html": f"{BASE}/email.html",
    "txt": f"{BASE}/email.txt",
    "md": f"{BASE}/telegram.md",
    "whatsapp": f"{BASE}/whatsapp.txt",
}
_NO_FILTERS: Final = ("attr", "pprint", "random")  # attributes; what says other things at a second attempt
_NO_GLOBALS: Final = ("lipsum",)
_OPEN: Final[Mapping[type, frozenset[str]]] = {
    LoopContext: frozenset(
        (
            *("index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem"),
            *("cycle", "changed", "depth", "depth0"),
        )
    ),
    Cycler: frozenset(("next", "current", "reset")),
}


class TooMuchError(TemplateRuntimeError):
    """More than a notification can need."""


class Walled(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with nothing open but what is listed."""

    intercepted_binops = frozenset(("*", "**", "+", "%", "//"))
    callables: frozenset[int] = frozenset()
    newstyle_gettext: bool

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Keys of mappings, and what loops know of themselves."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if attribute in _OPEN.get(type(obj), ()):
            return getattr(obj, attribute)
        try:
            if isinstance(obj, TemplateReference):
                return obj[attribute]
            if isinstance(obj, Namespace) and not attribute.startswith("_"):
                return getattr(obj, attribute)
        except (AttributeError, LookupError):
            pass
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Keys of mappings, entries of lists, characters of texts."""
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        elif isinstance(argument, str):
            return self.getattr(obj, argument)
        return self.undefined(obj=obj, name=argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """None is: nothing here asks for attributes."""
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, blocks, and the functions that templates are given."""
        if isinstance(obj, Macro | BlockReference | LoopContext | Joiner):
            return True
        if isinstance(obj, MethodType):
            return type(obj.__self__) in _OPEN
        return id(obj) in self.callables

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuses at once what would take for ever or all memory, with the line that asks for it."""
        if operator == "**" and _power(left, right) > MOST_BITS:
            raise TooMuchError("makes a number that is too large")
        if operator == "*" and _product(left, right):
            raise TooMuchError("makes a number or text that is too large")
        return super().call_binop(context, operator, left, right)


def _power(left: Any, right: Any) -> float:
    """Bits of a power of whole numbers."""
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() * max(right, 0)
    return 0


def _product(left: Any, right: Any) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() + right.bit_length() > MOST_BITS
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(times, int):
            return len(many) * times > MOST_CHARACTERS
    return False


class Workshop:
    """The environments in which tenants' templates are compiled, by kind of face as in `pipeline.faces`."""

    def __init__(self) -> None:
        trusted = Faces(TEMPLATES).environments
        trusted["html"].filters["markdown"]("*a* [b](https://example.org)")  # loads what reads and cleans it
        self.stylesheet = Stylesheet.below(TEMPLATES / BASE)
        self.environments = {kind: _walled(environment, LAYOUTS[kind]) for kind, environment in trusted.items()}
        for environment in self.environments.values():
            environment.get_template(LAYOUT)

    def compiled(self, part: str, kind: str, source: str) -> Template:
        """A template of `source`. Raises what Jinja and Python raise on what cannot be compiled."""
        environment = self.environments[kind]
        styled = self.stylesheet.onto(source) if kind == "html" else source
        code = environment.compile(styled, part, f"<{part}>")
        return Template.from_code(environment, code, environment.make_globals(None))

    def parsed(self, part: str, kind: str, source: str) -> nodes.Template:
        """The tree of a template."""
        return self.environments[kind].parse(source, part, f"<{part}>")


def kind_of(channel: str, part: str) -> str:
    """Which environment renders `part` of a template for `channel`; titles are plain everywhere."""
    if part == "html":
        return "html"
    if part == "text":
        return {"telegram": "md", "whatsapp": "whatsapp"}.get(channel, "txt")
    return "txt"


def filled(template: Template, values: Mapping[str, Any]) -> str:
    """`template` with `values`, as soon as it is too long an error."""
    shared = {**template.environment.globals, **values}
    pieces, length = [], 0
    making: Any = template.root_render_func(template.new_context(shared, shared=True))
    for piece in making:
        length += len(piece)
        if length > MOST_CHARACTERS:  # said where it happened, so that the line is known
            making.throw(TooMuchError(f"makes more than {MOST_CHARACTERS:,} characters"))
        pieces.append(piece)
    return "".join(pieces).encode("utf-8", "replace").decode("utf-8")


def _walled(trusted: Environment, layout: str) -> Walled:
    """A sandbox with the words, filters and shared macros of `trusted`."""
    walled = Walled(
        loader=DictLoader(_layouts(trusted, layout)),
        autoescape=trusted.autoescape,
        undefined=ChainableUndefined,
        finalize=trusted.finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        optimized=False,  # folding constants is where compiling takes for ever
        extensions=[type(extension) for extension in trusted.extensions.values()],
    )
    walled.policies |= trusted.policies
    walled.newstyle_gettext = True
    walled.filters = {name: one for name, one in trusted.filters.items() if name not in _NO_FILTERS}
    walled.filters |= HANDLEBARS["html" if layout.endswith(".html") else "text"]
    shared = {name: one for name, one in trusted.globals.items() if name not in (*_NO_GLOBALS, "range")}
    walled.globals = {"range": walled.globals["range"], **shared}
    walled.callables = frozenset(id(one) for one in walled.globals.values() if callable(one))
    return walled


def _layouts(trusted: Environment, layout: str) -> dict[str, str]:
    """The sources of the shipped layout and of what it may include; read now, since no file can be opened later."""
    assert trusted.loader is not None
    names = [f"{BASE}/{path.name}" for path in sorted((TEMPLATES / BASE).iterdir()) if path.suffix != ".css"]
    sources = {name: trusted.loader.get_source(trusted, name)[0] for name in names}
    return {LAYOUT: sources[layout], **sources}
