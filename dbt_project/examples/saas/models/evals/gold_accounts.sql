-- Questions whose answers are rows: every company has others, so they are made from the data as it is.
with

tickets as (
    select * from {{ ref('sem_tickets') }}
),

customers as (
    select * from {{ ref('sem_customers') }}
),

of_tickets as (
    select
        'ticket-' || cast(tickets.ticket_id as {{ dbt.type_string() }}) as question_id,
        customers.company_name || ' wrote to support: ' || tickets.subject as question,
        'support_ticket' as doc_type,
        'ticket:' || cast(tickets.ticket_id as {{ dbt.type_string() }}) as answers,
        'customer:' || cast(tickets.customer_id as {{ dbt.type_string() }}) as helps
    from tickets
    inner join customers on tickets.customer_id = customers.customer_id
    where tickets.ticket_id <= 8
),

of_customers as (
    select
        'customer-' || cast(customer_id as {{ dbt.type_string() }}) as question_id,
        'Which plans has ' || company_name || ' had, and who looks after the account?' as question,
        'customer_profile' as doc_type,
        'customer:' || cast(customer_id as {{ dbt.type_string() }}) as answers,
        '' as helps
    from customers
    where customer_id <= 8
),

unioned as (
    select * from of_tickets
    union all
    select * from of_customers
)

select
    question_id,
    question,
    doc_type,
    answers,
    helps,
    '' as facts,
    '' as must_not
from unioned
