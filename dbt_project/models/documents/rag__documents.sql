{{ config(
    materialized='incremental',
    unique_key='document_id',
    on_schema_change='append_new_columns',
    incremental_predicates=[],
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['document_id']},
        {'columns': ['version_family'], 'type': 'hash'},
        {'columns': ['(supersedes is not null)']},
    ],
    partition_by=headrace.partitions_of_documents(),
    cluster_by=['batch_id'],
) }}
{%- if not execute %} {%- do ref('rag__changes') %} {%- endif %}
{%- set batch_id = headrace.next_batch_id(this) %}
{%- set concerned = headrace.concerned_documents(this) if is_incremental() else none %}
{%- do headrace.merge_among(config, concerned.judged if concerned else none) %}
{%- set is_gone = 'taken.document_id is not null' if concerned else 'true' %}
{%- set has_same_text = 'coalesce(stored.title = changes.title and stored.body = changes.body, false)' %}
{%- set most = var('headrace_batch_documents') | int %}
{%- set direction = 'asc' if var('headrace_batch_order') == 'oldest' else 'desc' %}
{% if concerned %}
with changes as (

    select * from {{ ref('rag__changes') }}

),

stored as (

    select * from {{ this }} as stored
    where {{ headrace.among(concerned.read, 'stored.') }}

),

placed as (

    select
        changes.document_id,
        {{ has_same_text }} as has_same_text,
        row_number() over (
            partition by {{ has_same_text }}
            order by coalesce(changes.source_updated_at, {{ headrace.now() }}) {{ direction }}, changes.document_id asc
        ) as place
    from changes
    left join stored
        on changes.document_id = stored.document_id

),

-- The rest is as it is stored for this run, and is found to differ by the next.
taken as (

    select changes.*
    from changes
    inner join placed
        on changes.document_id = placed.document_id
    {%- if most > 0 %}
    where placed.place <= case when placed.has_same_text then {{ 10 * most }} else {{ most }} end
    {%- endif %}

),

hashed as (

    select * from taken
    where document_hash is not null

),
{% else %}
with incoming as (

    select * from {{ ref('rag__incoming') }}
    where refused_because is null

),

hashed as (

    select
        incoming.*,
        {{ headrace.document_hash('incoming') }} as document_hash
    from incoming

),
{% if is_incremental() %}
stored as (

    select * from {{ this }}

),
{% endif %}
{% endif %}
{% if is_incremental() %}
-- A document without a date of change was changed when it was first seen so.
current_documents as (

    select
        hashed.document_id,
        hashed.source_name,
        hashed.doc_type,
        hashed.title,
        hashed.body,
        hashed.url,
        hashed.owner,
        hashed.language,
        hashed.valid_from,
        hashed.valid_to,
        hashed.version_family,
        hashed.version_date,
        hashed.review_by,
        hashed.access,
        hashed.payload,
        coalesce(
            hashed.source_updated_at,
            case when hashed.document_hash = stored.document_hash then stored.source_updated_at end,
            {{ headrace.now() }}
        ) as source_updated_at,
        hashed.is_deleted,
        hashed.document_hash,
        hashed.document_model
    from hashed
    left join stored
        on hashed.document_id = stored.document_id

    union all

    -- What is no longer there leaves a row without its text; what this run does not compare is as it was.
    select
        stored.document_id,
        stored.source_name,
        stored.doc_type,
        stored.title,
        case when {{ is_gone }} then '' else stored.body end as body,
        stored.url,
        stored.owner,
        stored.language,
        stored.valid_from,
        stored.valid_to,
        stored.version_family,
        stored.version_date,
        stored.review_by,
        stored.access,
        stored.payload,
        case
            when {{ is_gone }} and not stored.is_deleted then {{ headrace.now() }} else stored.source_updated_at
        end as source_updated_at,
        {{ is_gone }} or stored.is_deleted as is_deleted,
        stored.document_hash,
        case when {{ is_gone }} then null else stored.document_model end as document_model
    from stored
    left join hashed
        on stored.document_id = hashed.document_id
    {%- if concerned %}
    left join taken
        on stored.document_id = taken.document_id
    {%- endif %}
    where hashed.document_id is null

),
{% else %}
current_documents as (

    select
        document_id,
        source_name,
        doc_type,
        title,
        body,
        url,
        owner,
        language,
        valid_from,
        valid_to,
        version_family,
        version_date,
        review_by,
        access,
        payload,
        coalesce(source_updated_at, {{ headrace.now() }}) as source_updated_at,
        is_deleted,
        document_hash,
        document_model
    from hashed

),
{% endif %}
states as (

    {{ headrace.lifecycle_states('current_documents') }}

){% if is_incremental() %},

-- What costs is the text: it is cut and embedded anew. The documents that are only described anew have a place of
-- their own, so that one customer's change, which describes a hundred tickets anew, holds up no ticket's text.
changed as (

    select
        current_documents.document_id,
        coalesce(
            stored.title = current_documents.title
            and stored.body = current_documents.body
            -- What was not served has no chunks.
            and (stored.serving = 'none') = (states.serving = 'none'),
            false
        ) as has_same_text,
        stored.text_batch_id,
        current_documents.source_updated_at
    from current_documents
    inner join states
        on current_documents.document_id = states.document_id
    left join stored
        on current_documents.document_id = stored.document_id
    where
        (
            stored.document_id is null
            or stored.document_hash <> current_documents.document_hash
            or coalesce(stored.document_model, '') <> coalesce(current_documents.document_model, '')
            or stored.lifecycle_state <> states.lifecycle_state
            or stored.serving <> states.serving
            or coalesce(stored.superseded_by, '') <> coalesce(states.superseded_by, '')
            or coalesce(stored.version_family, '') <> coalesce(states.version_family, '')
            or stored.source_updated_at <> current_documents.source_updated_at
        )
        and {{ headrace.is_one_of('current_documents.document_id', concerned.judged.ids) if concerned else 'true' }}

),

batch as (

    select
        document_id,
        case when has_same_text then text_batch_id end as text_batch_id,
        has_same_text,
        row_number() over (
            partition by has_same_text
            order by
                source_updated_at {{ direction }},
                document_id asc
        ) as place
    from changed

)
{% endif %}

select
    current_documents.document_id,
    current_documents.source_name,
    current_documents.doc_type,
    current_documents.title,
    current_documents.body,
    current_documents.url,
    current_documents.owner,
    current_documents.language,
    current_documents.valid_from,
    current_documents.valid_to,
    states.version_family,
    current_documents.version_date,
    current_documents.review_by,
    current_documents.access,
    current_documents.payload,
    current_documents.source_updated_at,
    current_documents.is_deleted,
    states.lifecycle_state,
    states.superseded_by,
    states.serving,
    {{ headrace.superseded_names('current_documents.payload') }} as supersedes,
    current_documents.document_hash,
    current_documents.document_model,
    {{ headrace.document_bucket('current_documents.document_id') }} as document_bucket,
    {{ batch_id }} as batch_id,
    {% if is_incremental() -%}
    coalesce(batch.text_batch_id, {{ batch_id }}) as text_batch_id,
    {%- else -%}
    {{ batch_id }} as text_batch_id,
    {%- endif %}
    '{{ invocation_id }}' as dbt_invocation_id
from current_documents
inner join states
    on current_documents.document_id = states.document_id
{% if is_incremental() -%}
inner join batch
    on current_documents.document_id = batch.document_id
{%- if most > 0 and not concerned %}
-- The rest still differs from what is stored, so that the next run takes it.
where batch.place <= case when batch.has_same_text then {{ 10 * most }} else {{ most }} end
{%- endif %}
{%- endif %}
