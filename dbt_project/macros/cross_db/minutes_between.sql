{#- Whole minutes from one timestamp to a later one, seconds dropped; null where either is null. -#}
{% macro minutes_between(start_timestamp, end_timestamp) -%}
    {{ return(adapter.dispatch('minutes_between', 'headrace')(start_timestamp, end_timestamp)) }}
{%- endmacro %}

{% macro default__minutes_between(start_timestamp, end_timestamp) -%}
    cast(trunc(extract(epoch from ({{ end_timestamp }}) - ({{ start_timestamp }})) / 60) as integer)
{%- endmacro %}

{% macro bigquery__minutes_between(start_timestamp, end_timestamp) -%}
    timestamp_diff({{ end_timestamp }}, {{ start_timestamp }}, minute)
{%- endmacro %}
