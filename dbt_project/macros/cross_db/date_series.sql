{#- A query that gives every day from the first to the last, both 'YYYY-MM-DD' and both included, as column date_day. -#}
{% macro date_series(first_day, last_day) -%}
    {{ return(adapter.dispatch('date_series', 'headrace')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__date_series(first_day, last_day) -%}
    select cast('{{ first_day }}' as date) + day_number as date_day
    from generate_series(0, cast('{{ last_day }}' as date) - cast('{{ first_day }}' as date)) as day_number
{%- endmacro %}

{% macro bigquery__date_series(first_day, last_day) -%}
    select date_day
    from unnest(generate_date_array(date '{{ first_day }}', date '{{ last_day }}')) as date_day
{%- endmacro %}
