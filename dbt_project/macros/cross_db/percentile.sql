{#- A percentile (0 to 1) of a number, over a group: exact on Postgres, of 1,000 approximate quantiles on BigQuery. -#}
{% macro percentile(expression, share) -%}
    {{ return(adapter.dispatch('percentile', 'headrace')(expression, share)) }}
{%- endmacro %}

{% macro default__percentile(expression, share) -%}
    percentile_disc({{ share }}) within group (order by {{ expression }})
{%- endmacro %}

{% macro bigquery__percentile(expression, share) -%}
    approx_quantiles({{ expression }}, 1000)[offset({{ (share * 1000) | int }})]
{%- endmacro %}
