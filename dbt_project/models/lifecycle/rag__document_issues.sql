{{ config(materialized='view') }}

with every_document as (

    select * from {{ ref('rag__documents') }}

),

documents as (

    select
        *,
        {{ headrace.lifecycle_setting('needs_owner') }} as needs_owner,
        {{ headrace.lifecycle_setting('review_days') }} as review_days,
        {{ headrace.version_age_days() }} as age_days
    from every_document
    where serving <> 'none'

),

families as (

    select
        *,
        count(*) over (partition by version_family) as versions
    from documents
    where version_family is not null and serving = 'full'

)

select
    'two_versions' as issue,
    document_id,
    source_name,
    doc_type,
    title,
    owner,
    cast(versions as {{ dbt.type_string() }}) || ' versions of ' || version_family || ' are served' as reason
from families
where versions > 1

union all

select
    'no_owner' as issue,
    document_id,
    source_name,
    doc_type,
    title,
    owner,
    'the policy asks for an owner' as reason
from documents
where needs_owner and coalesce(owner, '') = ''

union all

select
    'review_overdue' as issue,
    document_id,
    source_name,
    doc_type,
    title,
    owner,
    coalesce(
        'its review was due on ' || {{ headrace.date_text('review_by') }},
        'its version is ' || cast(age_days as {{ dbt.type_string() }}) || ' days old, and reviews are due after '
        || cast(review_days as {{ dbt.type_string() }})
    ) as reason
from documents
where review_by < {{ headrace.current_date() }} or (review_by is null and age_days > review_days)

union all

select
    'stale' as issue,
    document_id,
    source_name,
    doc_type,
    title,
    owner,
    case serving when 'full' then 'stale, and served as if it were current' else 'stale, and demoted' end as reason
from documents
where lifecycle_state = 'stale'
