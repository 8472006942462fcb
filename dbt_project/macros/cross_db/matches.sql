{#- Whether a text holds a match of a regular expression. Patterns keep to what both engines read the same way:
    ASCII classes, no look-around, no alternatives of which one is a prefix of the other. -#}
{% macro matches(expression, pattern) -%}
    {{ return(adapter.dispatch('matches', 'headrace')(expression, pattern)) }}
{%- endmacro %}

{% macro default__matches(expression, pattern) -%}
    (({{ expression }}) ~ '{{ pattern }}')
{%- endmacro %}

{% macro bigquery__matches(expression, pattern) -%}
    regexp_contains({{ expression }}, r'{{ pattern }}')
{%- endmacro %}
