{#- What stands under a key of a JSON object that is given as text, as JSON; null where there is no such key. -#}
{% macro json_part(expression, key) -%}
    {{ return(adapter.dispatch('json_part', 'headrace')(expression, key)) }}
{%- endmacro %}

{% macro default__json_part(expression, key) -%}
    cast(cast({{ expression }} as jsonb) -> '{{ key }}' as text)
{%- endmacro %}

{% macro bigquery__json_part(expression, key) -%}
    cast(json_query({{ expression }}, '$.{{ key }}') as string)
{%- endmacro %}
