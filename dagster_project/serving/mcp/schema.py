"""Arguments and answers of tools as pydantic models, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

# Arguments that an error names; the rest is told by the next attempt.
_MOST_NAMED = 5
_LONGEST_VALUE = 60


class Arguments(BaseModel):
    """Arguments of a tool: one that it does not have is an error, since it would narrow nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What a tool answers, as data."""

    model_config = ConfigDict(frozen=True)


class _Plain(GenerateJsonSchema):
    """JSON Schema without titles, which say a field's name again to a model that pays for them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401
        return False


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of arguments or of an answer."""
    schema = model.model_json_schema(schema_generator=_Plain)
    for each in (schema, *schema.get("$defs", {}).values()):
        each.pop("title", None)
        # What the class says of itself is for who reads the code; fields have their own words.
        each.pop("description", None)
    return schema


def checked(arguments: type[Arguments], values: Mapping[str, Any] | None) -> Arguments | str:
    """The arguments of a call, or what is wrong with them; null is as if it were left out."""
    given = {name: value for name, value in (values or {}).items() if value is not None}
    try:
        return arguments.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        told = [_told(each, arguments) for each in found[:_MOST_NAMED]]
        more = f"; {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        return f"The arguments cannot be used: {'; '.join(told)}{more}."


def _told(error: ErrorDetails, arguments: type[Arguments]) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = ", ".join(arguments.model_fields) or "none"
        return f"there is no argument {name!r:.{_LONGEST_VALUE}}, but {known}"
    if error["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {error['msg']}, not {error['input']!r:.{_LONGEST_VALUE}}"
