{#- A text as a string literal, exactly as it is. -#}
{% macro text_literal(value) -%}
    {{ return(adapter.dispatch('text_literal', 'headrace')(value)) }}
{%- endmacro %}

{% macro default__text_literal(value) -%} '{{ value | replace("'", "''") }}' {%- endmacro %}

{% macro bigquery__text_literal(value) -%}
    '{{ value | replace("\\", "\\\\") | replace("'", "\\'") | replace("\n", "\\n") | replace("\r", "\\r") }}'
{%- endmacro %}
