{{ config(materialized='view') }}
{%- set written = source('headrace_ops', 'quarantine') -%}
{%- set exists = execute and load_relation(written) is not none -%}

select
    coalesce(document_id, '') as document_id,
    document_model as found_in,
    refused_because as reason
from {{ ref('rag__incoming') }}
where refused_because is not null
{% if exists %}
union all

select
    document_id,
    found_in,
    reason
from {{ written }}
{% endif %}
