with

source as (
    select * from {{ source('saas', 'subscriptions') }}
)

select
    subscription_id,
    customer_id,
    plan_id,
    status as subscription_status,
    seats,
    {{ cents_to_money('seat_price_cents') }} as seat_price,
    discount_percent,
    started_at,
    cancelled_at,
    updated_at
from source
