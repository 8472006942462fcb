{#- The character of an ASCII code: the way to write a separator that no editor shows. -#}
{% macro character(code) -%}
    chr({{ code }})
{%- endmacro %}
