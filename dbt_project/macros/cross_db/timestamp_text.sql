{#- A timestamp in UTC to the microsecond, the same text on both engines. -#}
{% macro timestamp_text(expression) -%}
    {{ return(adapter.dispatch('timestamp_text', 'headrace')(expression)) }}
{%- endmacro %}

{% macro default__timestamp_text(expression) -%}
    to_char(({{ expression }}) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')
{%- endmacro %}

{% macro bigquery__timestamp_text(expression) -%}
    format_timestamp('%Y-%m-%d %H:%M:%E6S', {{ expression }}, 'UTC')
{%- endmacro %}
