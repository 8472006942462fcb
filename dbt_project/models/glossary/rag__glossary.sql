{{ config(materialized='table') }}
{%- set terms = headrace.glossary_terms() %}

{% for term in terms %}
select
    {{ headrace.literal(term.term_id) }} as term_id,
    {{ headrace.literal(term.term) }} as term,
    {{ headrace.literal_array(term.synonyms) }} as synonyms,
    {{ headrace.literal(term.definition) }} as definition,
    {{ headrace.literal(term.kind) }} as kind,
    nullif({{ headrace.literal(term.metric_name) }}, '') as metric_name,
    {{ headrace.literal_array(term.defined_by) }} as defined_by
{% if not loop.last %}
union all
{% endif %}
{% else %}
select
    '' as term_id,
    '' as term,
    {{ headrace.literal_array([]) }} as synonyms,
    '' as definition,
    '' as kind,
    '' as metric_name,
    {{ headrace.literal_array([]) }} as defined_by
from (select 1 as nothing) as empty
where false
{% endfor %}
