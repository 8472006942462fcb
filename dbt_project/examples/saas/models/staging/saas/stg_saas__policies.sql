with

source as (
    select * from {{ source('saas', 'policies') }}
)

select
    policy_id,
    policy_name,
    policy_family,
    version_date,
    owner as policy_owner,
    audience,
    effective_from,
    effective_to,
    review_by,
    body as policy_body,
    updated_at
from source
