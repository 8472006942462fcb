{#- The text under a key of a JSON object that is given as text; null where there is none. -#}
{% macro json_text(expression, key) -%}
    {{ return(adapter.dispatch('json_text', 'headrace')(expression, key)) }}
{%- endmacro %}

{% macro default__json_text(expression, key) -%} (cast({{ expression }} as jsonb) ->> '{{ key }}') {%- endmacro %}

{% macro bigquery__json_text(expression, key) -%} json_value({{ expression }}, '$.{{ key }}') {%- endmacro %}
