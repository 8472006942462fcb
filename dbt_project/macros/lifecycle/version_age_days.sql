{#- Days since a document's version: from version_date, else valid_from, else the day of its last change. -#}
{% macro version_age_days() -%}
    {{ headrace.days_between(
        'coalesce(version_date, valid_from, ' ~ headrace.utc_date('source_updated_at') ~ ')', headrace.current_date()
    ) }}
{%- endmacro %}
