{#- A whole number as text of a fixed width, so that text sorts as numbers do. -#}
{% macro padded(expression, width) -%}
    lpad(cast({{ expression }} as {{ dbt.type_string() }}), {{ width }}, '0')
{%- endmacro %}
