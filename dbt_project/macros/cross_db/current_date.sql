{#- Today in UTC, whatever time zone the session has. -#}
{% macro current_date() -%}
    {{ return(adapter.dispatch('current_date', 'headrace')()) }}
{%- endmacro %}

{% macro default__current_date() -%}
    cast(({{ headrace.now() }}) at time zone 'UTC' as date)
{%- endmacro %}

{% macro bigquery__current_date() -%}
    date({{ headrace.now() }}, 'UTC')
{%- endmacro %}
