{#- A date as YYYY-MM-DD. -#}
{% macro date_text(expression) -%}
    {{ return(adapter.dispatch('date_text', 'headrace')(expression)) }}
{%- endmacro %}

{% macro default__date_text(expression) -%} to_char({{ expression }}, 'YYYY-MM-DD') {%- endmacro %}

{% macro bigquery__date_text(expression) -%} format_date('%Y-%m-%d', {{ expression }}) {%- endmacro %}
