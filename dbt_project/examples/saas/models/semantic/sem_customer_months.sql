with

days as (
    select * from {{ ref('metricflow_time_spine') }}
),

customers as (
    select * from {{ ref('stg_saas__customers') }}
),

subscriptions as (
    select * from {{ ref('sem_subscriptions') }}
),

months as (
    select
        date_day as month_start,
        -- A month is judged on its last day, the current one on today.
        least({{ dbt.last_day('date_day', 'month') }}, {{ headrace.current_date() }}) as judged_on
    from days
    where
        extract(day from date_day) = 1
        and date_day <= {{ headrace.current_date() }}
),

customer_months as (
    select
        customers.customer_id,
        months.month_start,
        months.judged_on
    from customers
    inner join months on {{ headrace.utc_date('customers.created_at') }} <= months.judged_on
),

-- Months without a paying subscription stay, with nothing in them: a total of a month then needs no gap filled.
revenue as (
    select
        customer_months.customer_id,
        customer_months.month_start,
        coalesce(sum(subscriptions.seats), 0) as seats,
        coalesce(sum(subscriptions.contract_mrr), 0) as mrr,
        count(subscriptions.subscription_id) > 0 as is_active
    from customer_months
    left join subscriptions
        on
            customer_months.customer_id = subscriptions.customer_id
            and subscriptions.subscription_status <> 'trialing'
            and customer_months.judged_on >= subscriptions.started_on
            and (subscriptions.cancelled_on is null or customer_months.judged_on < subscriptions.cancelled_on)
    group by customer_months.customer_id, customer_months.month_start
),

compared as (
    select
        customer_id,
        month_start,
        seats,
        mrr,
        is_active,
        coalesce(
            lag(is_active) over (partition by customer_id order by month_start),
            false
        ) as was_active
    from revenue
)

select
    cast(customer_id as {{ dbt.type_string() }}) || ':' || {{ headrace.date_text('month_start') }} as customer_month_id,
    customer_id,
    month_start,
    seats,
    mrr,
    mrr * 12 as arr,
    is_active,
    was_active,
    was_active and not is_active as is_churned
from compared
