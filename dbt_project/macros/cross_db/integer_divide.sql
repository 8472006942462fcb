{#- The whole part of a quotient of non-negative integers. -#}
{% macro integer_divide(dividend, divisor) -%}
    {{ return(adapter.dispatch('integer_divide', 'headrace')(dividend, divisor)) }}
{%- endmacro %}

{% macro default__integer_divide(dividend, divisor) -%} div(cast({{ dividend }} as numeric), cast({{ divisor }} as numeric)) {%- endmacro %}

{% macro bigquery__integer_divide(dividend, divisor) -%} div(({{ dividend }}), ({{ divisor }})) {%- endmacro %}
