{% macro type_timestamp() -%}
    {{ return(adapter.dispatch('type_timestamp', 'headrace')()) }}
{%- endmacro %}

{% macro default__type_timestamp() -%} timestamptz {%- endmacro %}

{% macro bigquery__type_timestamp() -%} timestamp {%- endmacro %}
