{{ config(materialized='view') }}
{#- Empty where nothing was ever published: the table is made by the first sync. -#}
{%- set written = source('headrace_ops', 'published_documents') -%}
{%- set exists = execute and load_relation(written) is not none -%}

with published_documents as (

    {% if exists -%}
    select * from {{ written }}
    {%- else -%}
    select
        cast(null as {{ dbt.type_string() }}) as generation,
        cast(null as {{ dbt.type_bigint() }}) as batch_id,
        cast(null as {{ dbt.type_string() }}) as document_id,
        cast(null as {{ dbt.type_string() }}) as source_name,
        cast(null as {{ headrace.type_timestamp() }}) as source_updated_at,
        cast(null as {{ headrace.type_timestamp() }}) as chunked_at,
        cast(null as {{ headrace.type_timestamp() }}) as embedded_at,
        cast(null as {{ headrace.type_timestamp() }}) as published_at,
        cast(null as {{ dbt.type_boolean() }}) as is_backfill
    {%- endif %}

)

select
    generation,
    batch_id,
    document_id,
    source_name,
    source_updated_at,
    chunked_at,
    embedded_at,
    published_at,
    is_backfill
from published_documents
{% if not exists -%} where false {%- endif %}
