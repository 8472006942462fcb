{% macro type_text_array() -%}
    {{ return(adapter.dispatch('type_text_array', 'headrace')()) }}
{%- endmacro %}

{% macro default__type_text_array() -%} text[] {%- endmacro %}

{% macro bigquery__type_text_array() -%} array<string> {%- endmacro %}
