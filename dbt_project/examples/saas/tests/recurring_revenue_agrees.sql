-- The revenue of the current month and the revenue of today's customers are counted in two ways and must agree.
with

customers as (
    select * from {{ ref('sem_customers') }}
),

customer_months as (
    select * from {{ ref('sem_customer_months') }}
),

this_month as (
    select
        customer_id,
        mrr,
        is_active,
        row_number() over (partition by customer_id order by month_start desc) as months_ago
    from customer_months
)

select
    customers.customer_id,
    customers.mrr,
    this_month.mrr as mrr_this_month
from customers
left join this_month
    on
        customers.customer_id = this_month.customer_id
        and this_month.months_ago = 1
where
    this_month.customer_id is null
    or customers.mrr <> this_month.mrr
    or customers.is_active <> this_month.is_active
