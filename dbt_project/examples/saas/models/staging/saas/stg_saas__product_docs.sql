with

source as (
    select * from {{ source('saas', 'product_docs') }}
)

select
    doc_id,
    title,
    product_area,
    body as doc_body,
    url_path,
    product_version,
    owner as doc_owner,
    published_on,
    review_by,
    updated_at
from source
