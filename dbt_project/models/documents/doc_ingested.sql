{#- Empty where nothing was ever ingested: the table is made by the first `headrace ingest`. -#}
{%- set raw = source('headrace_ops', 'raw_documents') -%}
{%- set exists = execute and load_relation(raw) is not none -%}

with raw_documents as (

    {% if exists -%}
    select * from {{ raw }}
    {%- else -%}
    select {{ headrace.no_document() }}
    {%- endif %}

)

select
    {{ headrace.document_columns() | join(',\n    ') }}
from raw_documents
{% if not exists -%} where false {%- endif %}
