with

source as (
    select * from {{ source('saas', 'tickets') }}
)

select
    ticket_id,
    customer_id,
    requester_id,
    product_area,
    subject,
    description,
    status as ticket_status,
    priority,
    channel,
    assigned_to,
    is_deflected,
    csat_score,
    created_at,
    first_response_at,
    solved_at,
    updated_at
from source
