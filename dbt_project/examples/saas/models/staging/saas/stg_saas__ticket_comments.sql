with

source as (
    select * from {{ source('saas', 'ticket_comments') }}
)

select
    comment_id,
    ticket_id,
    author_name,
    author_kind,
    is_public,
    body as comment_body,
    created_at,
    updated_at
from source
