{#- Joins each row to the texts under a key of a JSON object that is given as text, one or a list, as `part.value`. -#}
{% macro json_rows(expression, key) -%}
    {{ return(adapter.dispatch('json_rows', 'headrace')(expression, key)) }}
{%- endmacro %}

{% macro default__json_rows(expression, key) -%}
    cross join lateral jsonb_array_elements_text(
        case jsonb_typeof(cast({{ expression }} as jsonb) -> '{{ key }}')
            when 'array' then cast({{ expression }} as jsonb) -> '{{ key }}'
            when 'string' then jsonb_build_array(cast({{ expression }} as jsonb) -> '{{ key }}')
            else '[]'
        end
    ) as part(value)
{%- endmacro %}

{#- A struct a text, so that both engines name it the same way. -#}
{% macro bigquery__json_rows(expression, key) -%}
    cross join unnest(array(
        select as struct piece as value
        from unnest(if(
            json_value({{ expression }}, '$.{{ key }}') is null,
            json_value_array({{ expression }}, '$.{{ key }}'),
            [json_value({{ expression }}, '$.{{ key }}')]
        )) as piece
        where piece is not null
    )) as part
{%- endmacro %}
