{#- Seconds from one timestamp to another, with fractions; null where either is null. -#}
{% macro seconds_between(start_timestamp, end_timestamp) -%}
    {{ return(adapter.dispatch('seconds_between', 'headrace')(start_timestamp, end_timestamp)) }}
{%- endmacro %}

{% macro default__seconds_between(start_timestamp, end_timestamp) -%}
    cast(extract(epoch from ({{ end_timestamp }}) - ({{ start_timestamp }})) as double precision)
{%- endmacro %}

{% macro bigquery__seconds_between(start_timestamp, end_timestamp) -%}
    timestamp_diff({{ end_timestamp }}, {{ start_timestamp }}, microsecond) / 1e6
{%- endmacro %}
