{#- The latest of some timestamps, nulls ignored; null only where all are. -#}
{% macro latest(expressions) -%}
    {{ return(adapter.dispatch('latest', 'headrace')(expressions)) }}
{%- endmacro %}

{% macro default__latest(expressions) -%}
    greatest({{ expressions | join(', ') }})
{%- endmacro %}

{% macro bigquery__latest(expressions) -%}
    (select max(moment) from unnest([{{ expressions | join(', ') }}]) as moment)
{%- endmacro %}
