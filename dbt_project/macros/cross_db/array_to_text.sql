{#- An array of text joined by a separator, to compare, hash or print it. -#}
{% macro array_to_text(expression, separator=',') -%}
    array_to_string({{ expression }}, '{{ separator }}')
{%- endmacro %}
