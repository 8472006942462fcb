{#- A timestamp moved by a number of days of 24 hours; a negative number moves it back. -#}
{% macro add_days(timestamp, days) -%}
    {{ return(adapter.dispatch('add_days', 'headrace')(timestamp, days)) }}
{%- endmacro %}

{% macro default__add_days(timestamp, days) -%} ({{ timestamp }} + interval '24 hours' * ({{ days }})) {%- endmacro %}

{% macro bigquery__add_days(timestamp, days) -%} timestamp_add({{ timestamp }}, interval ({{ days }}) day) {%- endmacro %}
