{#- Joins each row to slices of a text of at most `size` characters, as `part.value` and `part.position`. -#}
{% macro slice_rows(expression, size) -%}
    {{ return(adapter.dispatch('slice_rows', 'headrace')(expression, size)) }}
{%- endmacro %}

{% macro default__slice_rows(expression, size) -%}
    cross join lateral (
        select
            substr({{ expression }}, start, {{ size }}) as value,
            start as position
        from generate_series(1, length({{ expression }}), {{ size }}) as start
    ) as part
{%- endmacro %}

{% macro bigquery__slice_rows(expression, size) -%}
    cross join unnest(array(
        select as struct substr({{ expression }}, start, {{ size }}) as value, start as position
        from unnest(generate_array(1, length({{ expression }}), {{ size }})) as start
    )) as part
{%- endmacro %}
