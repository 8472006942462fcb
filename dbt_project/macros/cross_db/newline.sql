{#- A newline as a string literal: Postgres takes escapes only in its own form of literal. -#}
{% macro newline(count=1) -%}
    {{ return(adapter.dispatch('newline', 'headrace')(count)) }}
{%- endmacro %}

{% macro default__newline(count) -%} e'{{ "\\n" * count }}' {%- endmacro %}

{% macro bigquery__newline(count) -%} '{{ "\\n" * count }}' {%- endmacro %}
