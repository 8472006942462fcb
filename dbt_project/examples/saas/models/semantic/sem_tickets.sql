with

tickets as (
    select * from {{ ref('stg_saas__tickets') }}
),

subscriptions as (
    select * from {{ ref('sem_subscriptions') }}
),

-- The promise that counts is the one of the plan the customer had on the day of the ticket.
ranked_plans as (
    select
        tickets.ticket_id,
        subscriptions.plan_name,
        subscriptions.plan_tier,
        subscriptions.support_sla_hours,
        subscriptions.source_updated_at,
        row_number() over (
            partition by tickets.ticket_id
            order by subscriptions.started_at desc, subscriptions.subscription_id desc
        ) as plan_rank
    from tickets
    inner join subscriptions
        on
            tickets.customer_id = subscriptions.customer_id
            and tickets.created_at >= subscriptions.started_at
            and (subscriptions.cancelled_at is null or tickets.created_at < subscriptions.cancelled_at)
),

plans_then as (
    select
        ticket_id,
        plan_name,
        plan_tier,
        support_sla_hours,
        source_updated_at
    from ranked_plans
    where plan_rank = 1
),

measured as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        tickets.requester_id,
        tickets.product_area,
        tickets.subject,
        tickets.description,
        tickets.ticket_status,
        tickets.ticket_status in ('open', 'pending') as is_open,
        tickets.priority,
        tickets.channel,
        tickets.assigned_to,
        tickets.is_deflected,
        tickets.csat_score,
        plans_then.plan_name,
        plans_then.plan_tier,
        plans_then.support_sla_hours,
        tickets.created_at,
        tickets.first_response_at,
        tickets.solved_at,
        {{ headrace.minutes_between('tickets.created_at', 'tickets.first_response_at') }} as first_response_minutes,
        {{ headrace.minutes_between('tickets.created_at', 'tickets.solved_at') }} as resolution_minutes,
        {{ headrace.minutes_between('tickets.created_at', headrace.now()) }} as age_minutes,
        {{ headrace.latest(['tickets.updated_at', 'plans_then.source_updated_at']) }} as source_updated_at
    from tickets
    left join plans_then on tickets.ticket_id = plans_then.ticket_id
)

select
    ticket_id,
    customer_id,
    requester_id,
    product_area,
    subject,
    description,
    ticket_status,
    is_open,
    priority,
    channel,
    assigned_to,
    is_deflected,
    csat_score,
    plan_name,
    plan_tier,
    support_sla_hours,
    created_at,
    {{ headrace.utc_date('created_at') }} as created_on,
    first_response_at,
    solved_at,
    first_response_minutes,
    round(cast(resolution_minutes as {{ dbt.type_numeric() }}) / 60, 2) as resolution_hours,
    case
        when support_sla_hours is null then null
        when first_response_minutes is not null then first_response_minutes <= support_sla_hours * 60
        when age_minutes > support_sla_hours * 60 then false
    end as is_sla_met,
    source_updated_at
from measured
