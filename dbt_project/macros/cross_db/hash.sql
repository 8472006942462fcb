{#- 32 hexadecimal digits of the SHA-256 of a text in UTF-8. -#}
{% macro hash(expression) -%}
    {{ return(adapter.dispatch('hash', 'headrace')(expression)) }}
{%- endmacro %}

{% macro default__hash(expression) -%}
    left(encode(sha256(convert_to({{ expression }}, 'UTF8')), 'hex'), 32)
{%- endmacro %}

{% macro bigquery__hash(expression) -%}
    left(to_hex(sha256({{ expression }})), 32)
{%- endmacro %}
