{#- A text without the spaces, tabs and no-break spaces around it: trim() takes spaces alone on Postgres, and all that
    Unicode calls white space on BigQuery. -#}
{% macro trimmed(expression) -%}
    {{ headrace.replace_matches(expression, '^[ \\t\\xa0]+|[ \\t\\xa0]+$', '') }}
{%- endmacro %}
