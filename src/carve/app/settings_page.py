"""Every setting with its meaning and default, as a settings file."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from typing import Any

from carve.settings import Settings


def settings_page() -> str:
    """A TOML file of the defaults; a field that is none by default is commented out. Meanings are the fields' docstrings."""
    settings = Settings()
    plain, tables = [], []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            tables.append(f"\n[{field.name}]\n" + "".join(_lines(value)))
        else:
            plain.append(_line(field, value, field_docstrings(Settings)))
    return "".join(plain + tables)


def _lines(params: Any) -> list[str]:
    meanings = field_docstrings(type(params))
    return [_line(field, getattr(params, field.name), meanings) for field in dataclasses.fields(params)]


def _line(field: dataclasses.Field[Any], value: Any, meanings: dict[str, str]) -> str:
    meaning = textwrap.fill(meanings.get(field.name, ""), 110, initial_indent="# ", subsequent_indent="# ").rstrip("# ")
    text = "# " + field.name + " =" if value is None else f"{field.name} = {json.dumps(value)}"
    return f"{meaning}\n{text}\n" if meaning else f"{text}\n"


def field_docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
