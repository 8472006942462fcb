{%- set risk_window_days = 30 -%}
{%- set csat_window_days = 90 -%}

with

customers as (
    select * from {{ ref('stg_saas__customers') }}
),

users as (
    select * from {{ ref('stg_saas__users') }}
),

subscriptions as (
    select * from {{ ref('sem_subscriptions') }}
),

invoices as (
    select * from {{ ref('stg_saas__invoices') }}
),

tickets as (
    select * from {{ ref('sem_tickets') }}
),

subscription_facts as (
    select
        customer_id,
        sum(case when is_paying then seats else 0 end) as seats,
        sum(mrr) as mrr,
        sum(arr) as arr,
        max(case when is_paying then 1 else 0 end) = 1 as is_active,
        max(case when is_paying and is_current and seats < previous_seats then 1 else 0 end) = 1 as has_fewer_seats,
        max(case when is_current then plan_name end) as plan_name,
        max(case when is_current then plan_tier end) as plan_tier,
        max(case when is_current then subscription_status end) as subscription_status,
        max(source_updated_at) as source_updated_at
    from subscriptions
    group by customer_id
),

user_facts as (
    select
        customer_id,
        count(user_id) as user_count,
        max(last_seen_at) as last_seen_at,
        max(updated_at) as source_updated_at
    from users
    group by customer_id
),

invoice_facts as (
    select
        customer_id,
        sum(case when invoice_status = 'paid' then amount else 0 end) as collected_revenue,
        count(case when invoice_status = 'overdue' then 1 end) as overdue_invoices,
        sum(case when invoice_status = 'overdue' then amount else 0 end) as overdue_amount,
        max(updated_at) as source_updated_at
    from invoices
    group by customer_id
),

dated_tickets as (
    select
        customer_id,
        is_open,
        priority,
        csat_score,
        created_at,
        source_updated_at,
        {{ headrace.add_days('created_at', risk_window_days) }} as leaves_volume_at,
        {{ headrace.add_days('created_at', csat_window_days) }} as leaves_csat_at
    from tickets
),

ticket_facts as (
    select
        customer_id,
        count(*) as ticket_count,
        count(case when is_open then 1 end) as open_tickets,
        count(case when is_open and priority = 'urgent' then 1 end) as open_urgent_tickets,
        max(created_at) as last_ticket_at,
        count(case when leaves_volume_at > {{ headrace.now() }} then 1 end) as recent_tickets,
        avg(
            case
                when leaves_csat_at > {{ headrace.now() }}
                    then cast(csat_score as {{ dbt.type_numeric() }})
            end
        ) as recent_csat,
        max(source_updated_at) as source_updated_at,
        -- A ticket that leaves a window changes the score though no row is written: its leaving counts as a change.
        max(
            case when leaves_volume_at <= {{ headrace.now() }} then leaves_volume_at end
        ) as volume_window_moved_at,
        max(
            case
                when csat_score is not null and leaves_csat_at <= {{ headrace.now() }}
                    then leaves_csat_at
            end
        ) as csat_window_moved_at
    from dated_tickets
    group by customer_id
),

joined as (
    select
        customers.customer_id,
        customers.company_name,
        customers.industry,
        customers.employee_count,
        customers.country,
        customers.account_owner,
        customers.churned_at,
        {{ headrace.utc_date('customers.created_at') }} as customer_since,
        {{ headrace.utc_date('coalesce(customers.churned_at, ' ~ headrace.now() ~ ')') }} as tenure_ends_on,
        subscription_facts.plan_name,
        subscription_facts.plan_tier,
        subscription_facts.subscription_status,
        coalesce(subscription_facts.is_active, false) as is_active,
        coalesce(subscription_facts.seats, 0) as seats,
        coalesce(subscription_facts.mrr, 0) as mrr,
        coalesce(subscription_facts.arr, 0) as arr,
        coalesce(subscription_facts.has_fewer_seats, false) as has_fewer_seats,
        coalesce(user_facts.user_count, 0) as user_count,
        user_facts.last_seen_at,
        -- A customer that has never signed in is given as long as one that has stopped.
        {{ headrace.add_days('coalesce(user_facts.last_seen_at, customers.created_at)', risk_window_days) }}
            as silent_from,
        coalesce(invoice_facts.collected_revenue, 0) as collected_revenue,
        coalesce(invoice_facts.overdue_invoices, 0) as overdue_invoices,
        coalesce(invoice_facts.overdue_amount, 0) as overdue_amount,
        coalesce(ticket_facts.ticket_count, 0) as ticket_count,
        coalesce(ticket_facts.open_tickets, 0) as open_tickets,
        coalesce(ticket_facts.open_urgent_tickets, 0) as open_urgent_tickets,
        coalesce(ticket_facts.recent_tickets, 0) as recent_tickets,
        ticket_facts.last_ticket_at,
        round(ticket_facts.recent_csat, 2) as recent_csat,
        {{ headrace.latest(['customers.updated_at', 'subscription_facts.source_updated_at']) }} as account_updated_at,
        {{ headrace.latest([
            'customers.updated_at',
            'subscription_facts.source_updated_at',
            'user_facts.source_updated_at',
            'invoice_facts.source_updated_at',
            'ticket_facts.source_updated_at',
            'ticket_facts.volume_window_moved_at',
            'ticket_facts.csat_window_moved_at',
        ]) }} as last_moved_at
    from customers
    left join subscription_facts on customers.customer_id = subscription_facts.customer_id
    left join user_facts on customers.customer_id = user_facts.customer_id
    left join invoice_facts on customers.customer_id = invoice_facts.customer_id
    left join ticket_facts on customers.customer_id = ticket_facts.customer_id
),

-- From here each step reads only the one before, so that a reader of few columns computes no others.
signals as (
    select
        *,
        {{ headrace.days_between('customer_since', 'tenure_ends_on') }} as tenure_days,
        overdue_invoices > 0 as has_overdue_invoice,
        silent_from <= {{ headrace.now() }} as has_no_recent_login,
        coalesce(recent_csat < 3, false) as has_low_csat,
        recent_tickets >= 3 as has_many_tickets,
        {{ headrace.latest([
            'last_moved_at',
            'case when silent_from <= ' ~ headrace.now() ~ ' then silent_from end',
        ]) }} as source_updated_at
    from joined
),

-- Only a customer that pays can be lost: the others have no score.
scores as (
    select
        *,
        case
            when is_active
                then
                    case when has_overdue_invoice then 25 else 0 end
                    + case when has_no_recent_login then 25 else 0 end
                    + case when has_low_csat then 20 else 0 end
                    + case when has_many_tickets then 15 else 0 end
                    + case when has_fewer_seats then 15 else 0 end
        end as churn_risk_score
    from signals
),

bands as (
    select
        *,
        case
            when churn_risk_score is null then 'none'
            when churn_risk_score >= 50 then 'high'
            when churn_risk_score >= 25 then 'medium'
            else 'low'
        end as churn_risk_band
    from scores
),

expectations as (
    select
        *,
        case churn_risk_band
            when 'low' then 36
            when 'medium' then 18
            when 'high' then 6
            else 0
        end as expected_months_remaining
    from bands
)

select
    customer_id,
    company_name,
    industry,
    employee_count,
    country,
    account_owner,
    customer_since,
    churned_at,
    is_active,
    plan_name,
    plan_tier,
    subscription_status,
    seats,
    mrr,
    arr,
    tenure_days,
    cast(floor(tenure_days * 12 / 365.25) as {{ dbt.type_int() }}) as tenure_months,
    user_count,
    last_seen_at,
    overdue_invoices,
    overdue_amount,
    ticket_count,
    open_tickets,
    recent_tickets,
    recent_csat,
    last_ticket_at,
    has_overdue_invoice,
    has_no_recent_login,
    has_low_csat,
    has_many_tickets,
    has_fewer_seats,
    churn_risk_score,
    churn_risk_band,
    case
        when churned_at is not null then 'churned'
        when not is_active then 'not_paying'
        when churn_risk_band = 'high' then 'at_risk'
        when churn_risk_band = 'medium' or open_urgent_tickets > 0 then 'watch'
        else 'healthy'
    end as health,
    collected_revenue,
    expected_months_remaining,
    mrr * expected_months_remaining as expected_remaining_value,
    collected_revenue + mrr * expected_months_remaining as lifetime_value,
    account_updated_at,
    source_updated_at
from expectations
