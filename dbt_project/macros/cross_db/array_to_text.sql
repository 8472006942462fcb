{#- An array of text joined by a separator, to print it. -#}
{% macro array_to_text(expression, separator=',') -%}
    array_to_string({{ expression }}, '{{ separator }}')
{%- endmacro %}

{#- The same to compare or hash it: by a character that no list of names has, so that no two lists join alike. -#}
{% macro array_in_full(expression) -%}
    array_to_string({{ expression }}, {{ headrace.character(31) }})
{%- endmacro %}
