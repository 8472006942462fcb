{{ config(
    materialized='incremental',
    unique_key='chunk_id',
    on_schema_change='append_new_columns',
    incremental_predicates=[],
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['document_id']},
        {'columns': ['chunk_id']},
        {'columns': ['content_hash', 'chunk_id']},
    ],
    partition_by=headrace.partitions_of_documents(),
    cluster_by=['batch_id'],
) }}
{%- set cut_batch_id = headrace.cut_batch_id(this) if is_incremental() else none %}
{%- set concerned = headrace.documents_after(ref('rag__documents'), cut_batch_id) if is_incremental() else none %}
{%- do headrace.merge_among(config, concerned) %}

with documents as (

    select * from {{ ref('rag__documents') }}
    {% if is_incremental() -%}
    where
        batch_id > {{ cut_batch_id }}
        {%- if concerned %}
        and {{ headrace.among(concerned) }}
        {%- endif %}
    {%- endif %}

),

changed_documents as (

    select
        documents.document_id,
        documents.document_bucket,
        documents.source_name,
        documents.doc_type,
        documents.title,
        documents.body,
        documents.url,
        documents.valid_from,
        documents.valid_to,
        documents.access,
        documents.payload,
        documents.lifecycle_state,
        documents.source_updated_at,
        documents.serving = 'demoted' as is_demoted,
        documents.serving = 'none' as is_gone,
        {% if is_incremental() -%}
        documents.text_batch_id > {{ cut_batch_id }} as has_new_text,
        {%- else -%}
        true as has_new_text,
        {%- endif %}
        documents.batch_id
    from documents

),

live_documents as (

    select * from changed_documents
    where not is_gone

),

new_texts as (

    select * from live_documents
    where has_new_text

),

chunked as (

    select * from (
        {{ headrace.chunk_documents('new_texts') }}
    ) as chunked

),

content as (

    select
        chunked.*,
        {{ headrace.hash('chunked.chunk_text') }} as content_hash
    from chunked

),

-- The same text twice in a document is two chunks, told apart by which occurrence it is.
occurrences as (

    select
        content.*,
        row_number() over (
            partition by content.document_id, content.content_hash order by content.chunk_index
        ) as occurrence
    from content

),

{% if is_incremental() -%}
stored_chunks as (

    select stored.*
    from {{ this }} as stored
    inner join changed_documents
        on stored.document_id = changed_documents.document_id
    {%- if concerned %}
    where {{ headrace.among(concerned, 'stored.') }}
    {%- endif %}

),

{% endif -%}
texts as (

    select
        {{ headrace.hash(headrace.joined([
            'document_id', 'content_hash', 'cast(occurrence as ' ~ dbt.type_string() ~ ')'
        ])) }} as chunk_id,
        document_id,
        chunk_index,
        section_path,
        chunk_text,
        header_length,
        content_hash,
        approx_tokens
    from occurrences
    {%- if is_incremental() %}

    union all

    -- A document that is only described anew is not cut again.
    select
        stored_chunks.chunk_id,
        stored_chunks.document_id,
        stored_chunks.chunk_index,
        stored_chunks.section_path,
        stored_chunks.chunk_text,
        stored_chunks.header_length,
        stored_chunks.content_hash,
        stored_chunks.approx_tokens
    from stored_chunks
    inner join live_documents
        on stored_chunks.document_id = live_documents.document_id
    where not live_documents.has_new_text and not stored_chunks.is_deleted
    {%- endif %}

),

current_chunks as (

    select
        texts.chunk_id,
        texts.document_id,
        live_documents.document_bucket,
        live_documents.source_name,
        live_documents.doc_type,
        live_documents.title,
        live_documents.url,
        texts.chunk_index,
        texts.section_path,
        texts.chunk_text,
        texts.header_length,
        texts.content_hash,
        texts.approx_tokens,
        live_documents.payload,
        live_documents.access,
        live_documents.valid_from,
        live_documents.valid_to,
        live_documents.lifecycle_state,
        live_documents.is_demoted,
        live_documents.source_updated_at
    from texts
    inner join live_documents
        on texts.document_id = live_documents.document_id

),

-- What a row says beside its text: a change of it rewrites the row and keeps the vector.
described_chunks as (

    select
        current_chunks.*,
        {{ headrace.hash(headrace.joined([
            'current_chunks.source_name', 'current_chunks.doc_type', 'current_chunks.title',
            "coalesce(current_chunks.url, '')",
            'cast(current_chunks.chunk_index as ' ~ dbt.type_string() ~ ')',
            'current_chunks.section_path', 'current_chunks.payload',
            headrace.array_in_full('current_chunks.access'),
            "coalesce(" ~ headrace.date_text('current_chunks.valid_from') ~ ", '')",
            "coalesce(" ~ headrace.date_text('current_chunks.valid_to') ~ ", '')",
            "case when current_chunks.is_demoted then 'demoted ' else '' end || current_chunks.lifecycle_state",
            headrace.timestamp_text('current_chunks.source_updated_at'),
            "'" ~ headrace.chunking_policy() ~ "'",
        ])) }} as row_hash
    from current_chunks

),

batch as (

    select max(batch_id) as batch_id from changed_documents

)

select
    described_chunks.chunk_id,
    described_chunks.document_id,
    described_chunks.source_name,
    described_chunks.doc_type,
    described_chunks.title,
    described_chunks.url,
    cast(described_chunks.chunk_index as {{ dbt.type_int() }}) as chunk_index,
    described_chunks.section_path,
    described_chunks.chunk_text,
    cast(described_chunks.header_length as {{ dbt.type_int() }}) as header_length,
    described_chunks.content_hash,
    cast(described_chunks.approx_tokens as {{ dbt.type_int() }}) as approx_tokens,
    described_chunks.payload,
    described_chunks.access,
    described_chunks.valid_from,
    described_chunks.valid_to,
    described_chunks.lifecycle_state,
    described_chunks.is_demoted,
    described_chunks.source_updated_at,
    described_chunks.row_hash,
    '{{ headrace.chunking_policy() }}' as chunking_policy,
    described_chunks.document_bucket,
    batch.batch_id,
    {% if is_incremental() -%}
    -- The run that made the text, not the run that last touched its row.
    coalesce(
        case when not stored_chunks.is_deleted then stored_chunks.dbt_invocation_id end, '{{ invocation_id }}'
    ) as dbt_invocation_id,
    {%- else -%}
    '{{ invocation_id }}' as dbt_invocation_id,
    {%- endif %}
    false as is_deleted
from described_chunks
cross join batch
{% if is_incremental() -%}
left join stored_chunks
    on described_chunks.chunk_id = stored_chunks.chunk_id
where
    stored_chunks.chunk_id is null
    or stored_chunks.is_deleted
    or stored_chunks.row_hash <> described_chunks.row_hash

union all

-- A chunk that went leaves a tombstone without its text, so that every reader hears of it.
select
    stored_chunks.chunk_id,
    stored_chunks.document_id,
    stored_chunks.source_name,
    stored_chunks.doc_type,
    stored_chunks.title,
    stored_chunks.url,
    stored_chunks.chunk_index,
    stored_chunks.section_path,
    '' as chunk_text,
    0 as header_length,
    stored_chunks.content_hash,
    0 as approx_tokens,
    '{}' as payload,
    stored_chunks.access,
    stored_chunks.valid_from,
    stored_chunks.valid_to,
    'deleted' as lifecycle_state,
    false as is_demoted,
    changed_documents.source_updated_at,
    '' as row_hash,
    '{{ headrace.chunking_policy() }}' as chunking_policy,
    changed_documents.document_bucket,
    batch.batch_id,
    '{{ invocation_id }}' as dbt_invocation_id,
    true as is_deleted
from stored_chunks
inner join changed_documents
    on stored_chunks.document_id = changed_documents.document_id
cross join batch
left join described_chunks
    on stored_chunks.chunk_id = described_chunks.chunk_id
where described_chunks.chunk_id is null and not stored_chunks.is_deleted
{%- endif %}
