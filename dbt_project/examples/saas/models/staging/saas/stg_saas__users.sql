with

source as (
    select * from {{ source('saas', 'users') }}
)

select
    user_id,
    customer_id,
    full_name,
    email,
    role as user_role,
    last_seen_at,
    created_at,
    updated_at
from source
