{#- A list of texts as an array of text; the empty list too, which needs its type said. -#}
{% macro literal_array(values) -%}
    {{ return(adapter.dispatch('literal_array', 'headrace')(values)) }}
{%- endmacro %}

{% macro default__literal_array(values) -%}
    cast(array[{% for value in values %}{{ headrace.literal(value) }}{{ ", " if not loop.last }}{% endfor %}] as text[])
{%- endmacro %}

{% macro bigquery__literal_array(values) -%}
    cast([{% for value in values %}{{ headrace.literal(value) }}{{ ", " if not loop.last }}{% endfor %}] as array<string>)
{%- endmacro %}
