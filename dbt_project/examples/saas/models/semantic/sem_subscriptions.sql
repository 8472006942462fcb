with

subscriptions as (
    select * from {{ ref('stg_saas__subscriptions') }}
),

plans as (
    select * from {{ ref('stg_saas__plans') }}
),

priced as (
    select
        subscriptions.subscription_id,
        subscriptions.customer_id,
        plans.plan_name,
        plans.plan_tier,
        plans.support_sla_hours,
        subscriptions.subscription_status,
        subscriptions.seats,
        subscriptions.seat_price,
        subscriptions.discount_percent,
        subscriptions.started_at,
        subscriptions.cancelled_at,
        {{ headrace.utc_date('subscriptions.started_at') }} as started_on,
        {{ headrace.utc_date('subscriptions.cancelled_at') }} as cancelled_on,
        subscriptions.subscription_status in ('active', 'past_due') as is_paying,
        case
            when subscriptions.subscription_status = 'trialing' then 0
            else round(
                subscriptions.seats * subscriptions.seat_price
                * cast(100 - subscriptions.discount_percent as {{ dbt.type_numeric() }}) / 100,
                2
            )
        end as contract_mrr,
        {{ headrace.latest(['subscriptions.updated_at', 'plans.updated_at']) }} as source_updated_at
    from subscriptions
    inner join plans on subscriptions.plan_id = plans.plan_id
)

select
    subscription_id,
    customer_id,
    plan_name,
    plan_tier,
    support_sla_hours,
    subscription_status,
    is_paying,
    seats,
    seat_price,
    discount_percent,
    contract_mrr,
    started_at,
    cancelled_at,
    started_on,
    cancelled_on,
    source_updated_at,
    case when is_paying then contract_mrr else 0 end as mrr,
    case when is_paying then contract_mrr * 12 else 0 end as arr,
    lag(seats) over (partition by customer_id order by started_at, subscription_id) as previous_seats,
    -- The one that tells the customer's plan: a running one before a cancelled one, then the newest.
    row_number() over (
        partition by customer_id
        order by
            case when subscription_status = 'cancelled' then 1 else 0 end,
            started_at desc,
            subscription_id desc
    ) = 1 as is_current
from priced
