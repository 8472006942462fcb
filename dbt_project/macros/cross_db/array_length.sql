{% macro array_length(expression) -%}
    {{ return(adapter.dispatch('array_length', 'headrace')(expression)) }}
{%- endmacro %}

{% macro default__array_length(expression) -%} coalesce(cardinality({{ expression }}), 0) {%- endmacro %}

{% macro bigquery__array_length(expression) -%} coalesce(array_length({{ expression }}), 0) {%- endmacro %}
