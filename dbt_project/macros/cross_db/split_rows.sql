{#- Joins each row to the parts of a text as `part.value` and `part.position` (ascending, its origin unspecified). -#}
{% macro split_rows(expression, separator) -%}
    {{ return(adapter.dispatch('split_rows', 'headrace')(expression, separator)) }}
{%- endmacro %}

{#- Postgres splits an empty text into no part, and a row would be lost. -#}
{% macro default__split_rows(expression, separator) -%}
    cross join lateral unnest(
        case when {{ expression }} = '' then array[''] else string_to_array({{ expression }}, {{ separator }}) end
    ) with ordinality as part(value, position)
{%- endmacro %}

{#- A struct a part, so that both engines name the value and its position the same way. -#}
{% macro bigquery__split_rows(expression, separator) -%}
    cross join unnest(array(
        select as struct piece as value, place as position
        from unnest(split({{ expression }}, {{ separator }})) as piece with offset as place
    )) as part
{%- endmacro %}
