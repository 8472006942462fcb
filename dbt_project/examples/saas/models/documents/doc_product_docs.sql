with

articles as (
    select * from {{ ref('stg_saas__product_docs') }}
)

select
    'product_doc:' || doc_id as document_id,
    'saas' as source_name,
    'product_doc' as doc_type,
    title,
    doc_body as body,
    'https://docs.tidewise.example' || url_path as url,
    doc_owner as owner,
    'en' as language,
    published_on as valid_from,
    cast(null as date) as valid_to,
    cast(null as {{ dbt.type_string() }}) as version_family,
    cast(null as date) as version_date,
    review_by,
    {{ headrace.text_array(["'everyone'"]) }} as access,
    {{ headrace.json_object([
        ['doc_id', 'doc_id'],
        ['product_area', 'product_area'],
        ['product_version', 'product_version'],
    ]) }} as payload,
    updated_at as source_updated_at,
    false as is_deleted
from articles
