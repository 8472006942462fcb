{#- The calendar day of a timestamp in UTC, whatever time zone the session has. -#}
{% macro utc_date(timestamp) -%}
    {{ return(adapter.dispatch('utc_date', 'headrace')(timestamp)) }}
{%- endmacro %}

{% macro default__utc_date(timestamp) -%} cast(({{ timestamp }}) at time zone 'UTC' as date) {%- endmacro %}

{% macro bigquery__utc_date(timestamp) -%} date({{ timestamp }}, 'UTC') {%- endmacro %}
