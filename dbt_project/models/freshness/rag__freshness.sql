{{ config(materialized='view') }}

with published_documents as (

    select * from {{ ref('rag__published_documents') }}
    where not is_backfill

),

lags as (

    select
        source_name,
        {{ dbt.date_trunc('hour', 'published_at') }} as published_hour,
        {{ headrace.seconds_between('source_updated_at', 'chunked_at') }} as chunk_seconds,
        {{ headrace.seconds_between('chunked_at', 'embedded_at') }} as embed_seconds,
        {{ headrace.seconds_between('embedded_at', 'published_at') }} as publish_seconds,
        {{ headrace.seconds_between('source_updated_at', 'published_at') }} as lag_seconds
    from published_documents

)

select
    source_name,
    published_hour,
    count(*) as documents,
    {{ headrace.percentile('lag_seconds', 0.5) }} as p50_lag_seconds,
    {{ headrace.percentile('lag_seconds', 0.95) }} as p95_lag_seconds,
    max(lag_seconds) as max_lag_seconds,
    {{ headrace.percentile('chunk_seconds', 0.5) }} as p50_chunk_seconds,
    {{ headrace.percentile('embed_seconds', 0.5) }} as p50_embed_seconds,
    {{ headrace.percentile('publish_seconds', 0.5) }} as p50_publish_seconds
from lags
group by source_name, published_hour
