with

source as (
    select * from {{ source('saas', 'plans') }}
)

select
    plan_id,
    plan_name,
    tier as plan_tier,
    {{ cents_to_money('monthly_price_cents') }} as monthly_price,
    included_seats,
    support_sla_hours,
    updated_at
from source
