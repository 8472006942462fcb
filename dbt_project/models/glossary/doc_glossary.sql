with glossary as (

    select * from {{ ref('rag__glossary') }}

)

select
    concat('glossary:', term_id) as document_id,
    'dbt' as source_name,
    'glossary' as doc_type,
    term as title,
    concat(
        term,
        case
            when {{ headrace.array_length('synonyms') }} > 0
                then concat(' (also called ', {{ headrace.array_to_text('synonyms', ', ') }}, ')')
            else ''
        end,
        case when definition = '' then '' else concat(': ', definition) end
    ) as body,
    cast(null as {{ dbt.type_string() }}) as url,
    cast(null as {{ dbt.type_string() }}) as owner,
    'en' as language,
    cast(null as date) as valid_from,
    cast(null as date) as valid_to,
    cast(null as {{ dbt.type_string() }}) as version_family,
    cast(null as date) as version_date,
    cast(null as date) as review_by,
    {{ headrace.literal_array([var('headrace_glossary_access')]) }} as access,
    {{ headrace.json_object([
        ['kind', 'kind'], ['metric', 'metric_name'], ['defined_by', headrace.array_to_text('defined_by', ', ')],
        ['synonyms', 'synonyms'], ['definition', 'definition'],
    ]) }} as payload,
    -- The graph says what a term means, not since when: rag__documents dates the change when it sees it.
    cast(null as {{ headrace.type_timestamp() }}) as source_updated_at,
    false as is_deleted
from glossary
