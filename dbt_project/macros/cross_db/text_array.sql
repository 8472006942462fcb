{#- An array of text, from a list of expressions. -#}
{% macro text_array(expressions) -%}
    {{ return(adapter.dispatch('text_array', 'headrace')(expressions)) }}
{%- endmacro %}

{% macro default__text_array(expressions) -%}
    cast(array[{{ expressions | join(', ') }}] as text[])
{%- endmacro %}

{% macro bigquery__text_array(expressions) -%}
    [{{ expressions | join(', ') }}]
{%- endmacro %}
