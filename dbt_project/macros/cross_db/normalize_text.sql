{#- Line ends become a newline and control characters a space; all other text stays as it is. -#}
{% macro normalize_text(expression) -%}
    {{ return(adapter.dispatch('normalize_text', 'headrace')(expression)) }}
{%- endmacro %}

{% macro default__normalize_text(expression) -%}
    regexp_replace(
        regexp_replace({{ expression }}, '\r\n?', {{ headrace.newline() }}, 'g'),
        '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]', ' ', 'g'
    )
{%- endmacro %}

{#- Postgres holds no NUL, BigQuery may. -#}
{% macro bigquery__normalize_text(expression) -%}
    regexp_replace(
        regexp_replace({{ expression }}, r'\r\n?', {{ headrace.newline() }}),
        r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]', ' '
    )
{%- endmacro %}
