{#- A text as a string literal, its white space made single spaces. -#}
{% macro literal(value) -%}
    {{ return(adapter.dispatch('literal', 'headrace')((value | string).split() | join(' '))) }}
{%- endmacro %}

{% macro default__literal(value) -%} '{{ value | replace("'", "''") }}' {%- endmacro %}

{% macro bigquery__literal(value) -%} '{{ value | replace("\\", "\\\\") | replace("'", "\\'") }}' {%- endmacro %}
