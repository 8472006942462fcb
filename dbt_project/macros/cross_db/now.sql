{#- The time at which states are judged: the clock, or var `headrace_as_of` (an ISO timestamp) in tests and replays. -#}
{% macro now() -%}
    {%- if var('headrace_as_of', none) -%}
        cast('{{ var("headrace_as_of") }}' as {{ headrace.type_timestamp() }})
    {%- else -%}
        current_timestamp
    {%- endif -%}
{%- endmacro %}
