{#- A JSON object as text, from [[key, expression], …]. -#}
{% macro json_object(pairs) -%}
    {{ return(adapter.dispatch('json_object', 'headrace')(pairs)) }}
{%- endmacro %}

{% macro default__json_object(pairs) -%}
    cast(json_build_object(
        {%- for key, expression in pairs %}
        '{{ key }}', {{ expression }}{{ "," if not loop.last }}
        {%- endfor %}
    ) as text)
{%- endmacro %}

{% macro bigquery__json_object(pairs) -%}
    to_json_string(json_object(
        {%- for key, expression in pairs %}
        '{{ key }}', {{ expression }}{{ "," if not loop.last }}
        {%- endfor %}
    ))
{%- endmacro %}
