{#- An amount in cents as an exact amount in the currency's unit, with two decimals. -#}
{% macro cents_to_money(column) -%}
    round(cast({{ column }} as {{ dbt.type_numeric() }}) / 100, 2)
{%- endmacro %}
